/** The page of des in a real browser, with what strangers could write. `DES_PICTURES=DIR` keeps its pictures there. */

import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Listener from "../../src/operate/Listener.ts"
import * as Browser from "../support/Browser.ts"
import { freePort } from "../support/FreePort.ts"
import { sampleStatus } from "../support/SampleStatus.ts"

const hostile = [
  "</pre></style></title><script>alert(1)</script>",
  `"><img src=http://evil.invalid/x onerror=alert(1)>`,
  "<meta http-equiv=refresh content='0;url=http://evil.invalid/'>",
  "<style>body{display:none}</style>",
  "\u202egnp.exe",
  "w".repeat(300)
].join(" ")

const looks = [360, 1280].flatMap((width) => (["light", "dark"] as const).map((scheme) => ({ width, scheme })))

const isRequired = process.env["DES_REQUIRE_ENGINES"] === "1"

describe.skipIf(Browser.missing !== undefined && !isRequired)("the page in a browser", () => {
  it.scopedLive("shows what strangers write as text, loads nothing else, and fits into the window", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      const answers = { status: Effect.succeed(sampleStatus(hostile)), metrics: Effect.succeed("") }
      yield* Listener.open({ address: { _tag: "Tcp", host: "127.0.0.1", port }, answers })
      const browser = yield* Browser.start
      const url = `http://127.0.0.1:${port}/`
      for (const look of looks) {
        const seen = yield* browser.open(url, look)
        const evaluate = (expression: string) => Effect.promise(() => seen.evaluate(expression))
        const picture = yield* Effect.promise(seen.picture)
        const folder = process.env["DES_PICTURES"]
        if (folder !== undefined) writeFileSync(join(folder, `page-${look.width}-${look.scheme}.png`), picture)
        assert.deepStrictEqual(
          seen.requests.filter((asked) => asked !== url && !asked.endsWith("/favicon.ico")),
          []
        )
        // The browser asks for an icon by itself.
        assert.deepStrictEqual(
          seen.complaints.filter((complaint) => !complaint.includes("favicon.ico")),
          []
        )
        assert.strictEqual(yield* evaluate("document.title"), "des: not healthy")
        assert.strictEqual(yield* evaluate("document.querySelectorAll('script, img, meta[http-equiv]').length"), 1)
        assert.include(
          String(yield* evaluate("document.querySelector('pre').textContent")),
          "<script>alert(1)</script>"
        )
        assert.strictEqual(yield* evaluate("getComputedStyle(document.body).display"), "block", "its own style holds")
        assert.isAtMost(Number(yield* evaluate("document.documentElement.scrollWidth")), look.width)
        const back = yield* evaluate("getComputedStyle(document.body).backgroundColor")
        assert.strictEqual(back, look.scheme === "dark" ? "rgb(13, 17, 23)" : "rgb(255, 255, 255)")
      }
    })
  )
})
