import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { afterAll } from "vitest"
import * as OutputPipe from "../../src/scripts/OutputPipe.ts"
import * as TempFolder from "../support/TempFolder.ts"

const top = TempFolder.makeSync("pipes")
afterAll(() => TempFolder.removeSync(top))

/** A pipe with a reading end that does not block. */
const makePipe = () => {
  const file = Path.join(top, String(Fs.readdirSync(top).length))
  execFileSync("mkfifo", [file])
  const reading = Fs.openSync(file, Fs.constants.O_RDONLY | Fs.constants.O_NONBLOCK)
  return { pipe: OutputPipe.ofDescriptor(reading), write: Fs.openSync(file, "w") }
}

const readAll = (pipe: OutputPipe.OutputPipe): string => {
  let all = ""
  for (let found = pipe.read(); typeof found !== "string"; found = pipe.read()) all += Buffer.from(found).toString()
  assert.strictEqual(pipe.read(), "end")
  return all
}

describe("an output that is closed before its end", () => {
  it("still gives what was written before, if nothing was read", () => {
    const { pipe, write } = makePipe()
    Fs.writeSync(write, "one\ntwo\n")
    pipe.close()
    assert.strictEqual(readAll(pipe), "one\ntwo\n")
    Fs.closeSync(write)
  })

  it("still gives what was written before, if the event loop had no turn to read it", () => {
    const { pipe, write } = makePipe()
    Fs.writeSync(write, "one\n")
    assert.strictEqual(Buffer.from(pipe.read()).toString(), "one\n")
    assert.strictEqual(pipe.read(), "nothing yet")
    Fs.writeSync(write, "two\n")
    pipe.close()
    assert.strictEqual(readAll(pipe), "two\n")
    Fs.closeSync(write)
  })

  it("still gives what the event loop has read, and what came after it", async () => {
    const { pipe, write } = makePipe()
    assert.strictEqual(pipe.read(), "nothing yet")
    Fs.writeSync(write, "one\n")
    await new Promise<void>((resolve) => pipe.whenReadable(resolve))
    Fs.writeSync(write, "two\n")
    pipe.close()
    assert.strictEqual(readAll(pipe), "one\ntwo\n")
    Fs.closeSync(write)
  })
})
