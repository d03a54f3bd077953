import * as V from "vitest"

/** Groups tests that make files of other users. Where this is not root they are skipped with the reason, or fail when DES_REQUIRE_ENGINES is 1. */
export const describeRoot = (name: string, tests: () => void): void => {
  if (process.getuid?.() === 0) return void V.describe(name, tests)
  const reason = "only root can give files to other users"
  if (process.env["DES_REQUIRE_ENGINES"] === "1") {
    return void V.describe(name, () => V.it("can be tested", () => V.assert.fail(reason)))
  }
  V.describe.skip(`${name} (${reason})`, tests)
}
