import { defineConfig } from "rolldown"

export default defineConfig({
  input: { bin: "src/bin.ts" },
  platform: "node",
  // Its native part cannot be bundled; it is the one dependency that is installed.
  external: ["libsql"],
  // Only files: the client's other half speaks to servers.
  resolve: { alias: { "@libsql/client": "@libsql/client/sqlite3" } },
  output: { dir: "dist", entryFileNames: "[name].js", chunkFileNames: "[name].js", format: "esm", minify: true }
})
