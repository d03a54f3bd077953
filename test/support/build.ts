import { execFileSync } from "node:child_process"

/** The contract tests run the program that users run, so it is bundled before the first test. */
export default (): void => {
  execFileSync("npm", ["run", "--silent", "build:bin"], { stdio: "inherit" })
}
