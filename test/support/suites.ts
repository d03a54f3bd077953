/** Tests that build packages and images. They take both cores for minutes, so they do not run beside tests that measure delays. */
export const building = "test/install/*.test.ts"

/** Tests that measure how late events run, beside a busy engine. They run alone: on two cores each other test would delay them. */
export const delays = "test/hostile/containers.test.ts"

/** Which tests `npm test` leaves to `npm run test:all`, and why. Of the real engines it keeps one contract with each. */
export const rest: ReadonlyArray<readonly [files: string, why: string]> = [
  ["test/engines/!(contract).test.ts", "they start dockerd and podman over and over, which takes minutes"],
  ["test/docs.test.ts", "they compile every program of the docs"],
  ["test/cli/State.test.ts", "they stop, kill and start des again and again"],
  ["test/cli/Signals.test.ts", "they wait until drain times and graces are over"],
  ["test/chaos/*.test.ts", "they kill engines and des again and again, and watch one of them for a while"],
  ["test/hostile/*.test.ts", "they send what strangers could write, in large numbers"],
  ["test/fleet/*.test.ts", "they start PostgreSQL, and several des"],
  ["test/browser/*.test.ts", "they start a browser"],
  [
    "test/install/*.test.ts",
    "they install from the package registry, or need systemd and root, zsh, fish, man or promtool"
  ]
]

/**
 * Tests of which `npm test` runs a part. The rest fuzzes for so many seconds (unless DES_FUZZ_SECONDS says otherwise), and lets so many
 * starts of a script fail.
 */
export const longer = { files: ["test/fuzz/*.test.ts", "test/scripts/Spawner.test.ts"], seconds: 600, failures: 9_999 }
