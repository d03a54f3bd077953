import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { building, delays, longer, rest } from "./test/support/suites.ts"

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url))

const left = rest.map(([files]) => files)

export default defineConfig({
  resolve: {
    // The programs of the docs name the package as its users do.
    alias: {
      "docker-event-scripts/state": source("src/state.ts"),
      "docker-event-scripts/testing": source("src/testing.ts"),
      "docker-event-scripts": source("src/index.ts")
    }
  },
  test: {
    // Most tests wait for processes and timers. One worker fewer than cores, as by default, would leave two cores idle.
    maxWorkers: 6,
    minWorkers: 1,
    globalSetup: "test/support/build.ts",
    // Files that start engines and processes share the cores with the rest. A busy machine is no fault; what hangs is found by
    // the tests' own deadlines.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // A failure has to be understood from its message alone: where the tests gate a landing, nobody can look again.
    chaiConfig: { truncateThreshold: 0 },
    projects: [
      { extends: true, test: { name: "default", include: ["test/**/*.test.ts"], exclude: left } },
      {
        extends: true,
        test: {
          name: "rest",
          include: [...left.filter((files) => files !== building), ...longer.files],
          exclude: [delays],
          env: {
            DES_FUZZ_SECONDS: process.env["DES_FUZZ_SECONDS"] ?? String(longer.seconds),
            DES_FAILING_STARTS: String(longer.failures)
          }
        }
      },
      { extends: true, test: { name: "delays", include: [delays] } },
      { extends: true, test: { name: "building", include: [building] } }
    ]
  }
})
