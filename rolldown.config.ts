import { defineConfig } from "rolldown"

export default defineConfig({
  input: "src/bin.ts",
  platform: "node",
  output: { file: "dist/bin.js", format: "esm", minify: true }
})
