import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: "test/support/build.ts",
    // Files that start engines and processes share two cores with the rest.
    testTimeout: 30_000,
    hookTimeout: 120_000
  }
})
