import { defineConfig } from "rolldown"

export default defineConfig({
  input: { bin: "src/bin.ts" },
  platform: "node",
  // Its native part cannot be bundled; it is the one dependency that is installed.
  external: ["libsql", "pg-native"],
  // Only files: the client's other half speaks to servers.
  resolve: { alias: { "@libsql/client": "@libsql/client/sqlite3" } },
  output: {
    dir: "dist",
    entryFileNames: "[name].js",
    chunkFileNames: "[name].js",
    format: "esm",
    minify: true,
    // Everything that each start needs is in bin.js, which runs alone. What is loaded later imports from it. Without this group,
    // modules that several later files share would leave bin.js.
    codeSplitting: { groups: [{ name: "bin", tags: ["$initial"] }] }
  }
})
