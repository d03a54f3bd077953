import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join, relative, resolve } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { rolldown } from "rolldown"

const root = resolve(import.meta.dirname, "..")

/** The modules of des that are left in the bundle of a program, by their paths below src. */
const bundled = async (program: string): Promise<ReadonlyArray<string>> => {
  const folder = mkdtempSync(join(root, "node_modules", ".bundle-"))
  try {
    const input = join(folder, "program.ts")
    writeFileSync(input, program)
    const bundle = await rolldown({
      input,
      platform: "node",
      resolve: { alias: { "docker-event-scripts": join(root, "src/index.ts") } },
      treeshake: { moduleSideEffects: false }
    })
    const { output } = await bundle.generate({})
    return output
      .flatMap((chunk) => (chunk.type === "chunk" ? Object.entries(chunk.modules) : []))
      .filter(([, { renderedLength }]) => renderedLength > 0)
      .map(([path]) => relative(join(root, "src"), path))
      .filter((path) => !path.startsWith(".."))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe("the bundle of a program", () => {
  it("that reads only the feed has nothing of scripts, dispatch and journal", async () => {
    const modules = await bundled(`
      import { Des, Endpoint, EventFeed } from "docker-event-scripts"
      import * as Effect from "effect/Effect"
      import * as Stream from "effect/Stream"
      const drained = Effect.flatMap(EventFeed.EventFeed, ({ events }) => Stream.runDrain(events))
      Effect.runPromise(Effect.provide(drained, Des.layerFeed({ endpoint: Endpoint.defaultEndpoint })))
    `)
    assert.include(modules, "feed/EventFeed.ts")
    assert.deepStrictEqual(
      modules.filter((path) => /^(scripts|dispatch|journal)\//.test(path)),
      []
    )
  })
})
