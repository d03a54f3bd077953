import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as JournalInMemory from "../../src/journal/JournalInMemory.ts"
import * as State from "../../src/state.ts"
import { journalContract } from "../support/JournalContract.ts"
import * as TempFolder from "../support/TempFolder.ts"

journalContract("in memory", {
  isDurable: false,
  place: Effect.succeed(({ maxAge }) => JournalInMemory.layer({ maxAge }))
})

journalContract("in SQLite", {
  isDurable: true,
  place: Effect.map(
    TempFolder.make("contract"),
    (directory) =>
      ({ engines, keep, maxAge }) =>
        State.layer({ directory, keep, maxAge, ...(engines === undefined ? {} : { engines }) }).pipe(
          Layer.provide(NodeFileSystem.layer)
        )
  )
})
