import { defineConfig } from "rolldown"
import command from "../rolldown.config.ts"

/** The program that writes the manual pages. Nothing of it is installed. */
export default defineConfig({
  ...command,
  input: { write: "man/write.ts" },
  output: { dir: "node_modules/.man", entryFileNames: "[name].js", chunkFileNames: "[name].js", format: "esm" }
})
