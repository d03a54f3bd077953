import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url))

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
    include: ["test/**/*.test.ts"],
    globalSetup: "test/support/build.ts",
    // Files that start engines and processes share the cores with the rest.
    testTimeout: 30_000,
    hookTimeout: 120_000
  }
})
