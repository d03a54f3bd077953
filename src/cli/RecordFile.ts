import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as Effect from "effect/Effect"
import * as SystemReason from "../SystemReason.ts"
import { CommandError } from "./CommandError.ts"

/**
 * Opens a file of records, or stdin for `-`. `option` names the option in errors. A FIFO is refused: it cannot be read
 * at a position, and opening it blocks so that no signal can end des.
 */
export const open = Effect.fnUntraced(function* (file: string, option: string) {
  if (file === "-") return { source: "stdin", bytes: NodeStream.stdin }
  const fileSystem = yield* FileSystem.FileSystem
  const unreadable = (why: string) => new CommandError({ message: `${option} ${file} cannot be read: ${why}` })
  const { type } = yield* Effect.mapError(fileSystem.stat(file), (error) =>
    unreadable(SystemReason.describePlatform(error))
  )
  if (type === "Directory") return yield* unreadable("it is a directory, not a file of records")
  if (type === "FIFO") return yield* unreadable(`it is a pipe; give it as stdin, with ${option} -`)
  yield* Effect.mapError(fileSystem.access(file, { readable: true }), (error) =>
    unreadable(SystemReason.describePlatform(error))
  )
  return { source: file, bytes: fileSystem.stream(file) }
})
