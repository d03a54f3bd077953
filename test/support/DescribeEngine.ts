import * as V from "vitest"
import { type EngineName, engineAvailable } from "./Engines.ts"

/** Groups the tests of a real engine, and of the programs that they need `also`. Where these cannot run they are skipped with the reason, or fail when DES_REQUIRE_ENGINES is 1. */
export const describeEngine = (name: EngineName, tests: () => void, also: ReadonlyArray<string> = []): void => {
  const engine = engineAvailable(name, also)
  if (engine.available) return void V.describe(name, tests)
  if (process.env["DES_REQUIRE_ENGINES"] === "1") {
    return void V.describe(name, () => V.it("can be started", () => V.assert.fail(engine.reason)))
  }
  V.describe.skip(`${name} (${engine.reason})`, tests)
}
