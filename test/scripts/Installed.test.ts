/** The program as it is installed, with its native part and without: what scripts get does not depend on it. */

import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { makeEvent } from "../../src/testing.ts"
import { poll } from "../support/Poll.ts"
import * as Program from "../support/Program.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"

/** The bundle where no package can be found. */
const strip = ({ path }: Sandbox): string => {
  const folder = Path.dirname(Program.bin)
  for (const name of Fs.readdirSync(folder).filter((name) => name.endsWith(".js"))) {
    Fs.copyFileSync(Path.join(folder, name), path(name))
  }
  Fs.writeFileSync(path("package.json"), '{ "type": "module" }')
  return path("bin.js")
}

const installs: Readonly<Record<string, readonly [bin: (sandbox: Sandbox) => string, spawner: string]>> = {
  "with its native part": [() => Program.bin, "posix_spawn"],
  "without its native part": [strip, "child_process"]
}

const event = makeEvent({ attributes: { name: "web", long: "x".repeat(500_000) } })

for (const [install, [bin, spawner]] of Object.entries(installs)) {
  describe(`des ${install}`, () => {
    test("starts a script that gets the whole record, also where des is killed before it reads", (sandbox) =>
      Effect.gen(function* () {
        const { dir, exists, path, read, script, top } = sandbox
        script(
          "container/start",
          "touch runs; while [ ! -e killed ]; do sleep 0.05; done; wc -c >size.new; mv size.new size"
        )
        const command = [process.execPath, bin(sandbox), "-d", dir, "--from", "-"]
        const des = yield* Program.start(command, { cwd: top, env: { HOME: top }, stdin: "open" })
        yield* des.write(`${event.record}\n`)
        yield* des.until("the script", () => exists("runs"))
        yield* des.kill("SIGKILL")
        yield* des.ended
        Fs.writeFileSync(path("killed"), "")
        assert.isTrue(
          yield* poll(
            Effect.sync(() => exists("size")),
            10_000
          )
        )
        assert.strictEqual(read("size").trim(), String(event.record.length + 1))
      }))

    test("passes on no descriptor that it inherited, and says how it starts scripts", (sandbox) =>
      Effect.gen(function* () {
        const { dir, lines, script, top, write } = sandbox
        write("secret", "a secret")
        script(
          "container/start",
          "for fd in /proc/$$/fd/*; do readlink $fd; done >descriptors; cat /proc/$$/fd/30 >>descriptors; true"
        )
        const command = ["bash", "-c", 'exec "$@" 30<secret', "bash", process.execPath, bin(sandbox)]
        const options = ["-d", dir, "--from", "-", "-v"]
        const des = yield* Program.run([...command, ...options], {
          cwd: top,
          env: { HOME: top },
          stdin: `${event.record}\n`
        })
        assert.strictEqual(des.code, 0)
        assert.notMatch(lines("descriptors").join("\n"), /secret/)
        const said = des.lines.filter((line) => line.includes("child_process"))
        assert.lengthOf(said, spawner === "child_process" ? 1 : 0)
      }))
  })
}
