import { createHash } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Page from "../../src/operate/Page.ts"
import { formatAge, formatBytes } from "../../src/operate/Words.ts"
import { sampleStatus } from "../support/SampleStatus.ts"

/** The tags of a document, without their attributes' values. */
const tagsOf = (html: string): ReadonlyArray<string> =>
  Array.from(html.matchAll(/<(\/?[a-zA-Z!][^\s>]*)/g), ([, name = ""]) => name)

const plain = Page.render(sampleStatus("plain"))

const units = ["<", ">", "&", '"', "'", "/", "script", " ", "=", "a", "\n", "\0", "\u202e", "\ud800", "--", "]]>", "é"]

describe("the page", () => {
  it("says what is wrong, what runs, what failed with its output, and what is missing", () => {
    for (const part of [
      "not healthy",
      "the feed of two is not open: plain",
      "3 events, 4.9 KiB. The oldest was accepted 1 min 1 s ago.",
      "Waiting: 2 events, 3.9 KiB, the oldest accepted 31 s ago. Running: 1 event, 1000 bytes, the oldest since 5 s.",
      "The journal takes 293.0 KiB on the disk.",
      "container/die plain",
      "exit 3",
      "timed out",
      "a\nplain\n",
      "no output",
      "up for 1 d 1 h",
      "2026-11-26T12:00:00 UTC"
    ]) {
      assert.include(plain, part)
    }
  })

  it("has the same tags whatever strangers write", () => {
    const expected = tagsOf(plain)
    FastCheck.assert(
      FastCheck.property(FastCheck.string({ unit: FastCheck.constantFrom(...units), minLength: 1 }), (text) =>
        assert.deepStrictEqual(tagsOf(Page.render(sampleStatus(text))), expected)
      ),
      { examples: [["</pre><script>alert(1)</script>"], ['"><img src=x onerror=alert(1)>'], ["<!--"]] }
    )
  })

  it("shows marks that change the direction of text as the log does", () => {
    assert.include(Page.render(sampleStatus("a\u202eb")), "a\\u202eb")
  })

  it("loads nothing, runs no script, and has no style but the one that its policy names", () => {
    assert.notMatch(plain, /<(script|link|img|iframe|object|form)|\s(src|href|style|on\w+)=/i)
    const [, style = ""] = /<style>(.*?)<\/style>/s.exec(plain) ?? []
    const hash = createHash("sha256").update(style).digest("base64")
    assert.include(Page.contentSecurityPolicy, `style-src 'sha256-${hash}'`)
    assert.include(Page.contentSecurityPolicy, "default-src 'none'")
  })
})

describe("a span of time", () => {
  for (const [milliseconds, text] of [
    [-5, "0 s"],
    [1499, "1 s"],
    [61_000, "1 min 1 s"],
    [3_660_000, "1 h 1 min"],
    [90_000_000, "1 d 1 h"]
  ] as const) {
    it(`of ${milliseconds} ms is ${text}`, () => assert.strictEqual(formatAge(milliseconds), text))
  }
})

describe("a size", () => {
  for (const [bytes, text] of [
    [0, "0 bytes"],
    [1023, "1023 bytes"],
    [1024, "1.0 KiB"],
    [1_572_864, "1.5 MiB"],
    [5e12, "4.5 TiB"]
  ] as const) {
    it(`of ${bytes} is ${text}`, () => assert.strictEqual(formatBytes(bytes), text))
  }
})
