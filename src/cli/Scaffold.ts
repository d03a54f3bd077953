import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type CatalogueEntry, entries } from "../event/EventCatalogue.ts"
import * as SystemReason from "../SystemReason.ts"
import { variableName } from "../scripts/Environment.ts"

/** The template directory was not created. The message names the path and the reason. */
export class ScaffoldError extends Schema.TaggedError<ScaffoldError>()("ScaffoldError", {
  reason: Schema.Literal("Exists", "NotWritable"),
  path: Schema.String,
  detail: Schema.optional(Schema.String)
}) {
  override get message(): string {
    return this.reason === "Exists"
      ? `${this.path} exists already and was not touched; give a new directory with -d`
      : `${this.path} cannot be created: ${this.detail}; give a directory with -d that this user may create`
  }
}

const engineNames = { docker: "Docker", podman: "podman" } as const

/** The variables that every event of a type has. Containers and images have STATUS, ID and FROM, as in the original. */
const commonVariables = (type: string): ReadonlyArray<string> => [
  "TYPE",
  "ACTION",
  ...(type === "container" || type === "image" ? ["STATUS", "ID", "FROM"] : []),
  "SCOPE",
  "TIME",
  "TIMENANO",
  "ACTOR_ID"
]

const template = (entry: CatalogueEntry): string => {
  const variables = [
    ...commonVariables(entry.type),
    ...entry.attributes.map((key) => variableName(["Actor", "Attributes", key]))
  ]
  return `#!/bin/sh
# ${entry.type}/${entry.action}
#
# When: ${entry.when}
# Sent by: ${entry.engines.map((engine) => engineNames[engine]).join(", ")}.
#
# Variables:
${variables.map((name) => `#   ${name}`).join("\n")}
# and a variable for every other attribute or label of the event: the label
# com.example.role is ACTOR_ATTRIBUTES_COM_EXAMPLE_ROLE. Strangers write
# labels: quote every variable, and never eval one.
#
# The whole event is on stdin, as one line of JSON.
`
}

const exists = (fileSystem: FileSystem.FileSystem, path: string) =>
  // exists() follows links. readLink also finds a link whose target is missing.
  Effect.map(
    Effect.all([fileSystem.exists(path), Effect.isSuccess(fileSystem.readLink(path))]),
    ([there, link]) => there || link
  )

/** The directories above a path, the topmost first. */
const above = (path: Path.Path, at: string): ReadonlyArray<string> => {
  const parent = path.dirname(at)
  return parent === at ? [] : [...above(path, parent), parent]
}

/**
 * Creates a script directory with a script for every event that engines emit today. Each is executable and has only
 * comments; des starts it as soon as it has a command. An existing directory is refused. After a failure nothing is
 * left behind.
 */
export const create = Effect.fn("Scaffold.create")(function* (given: string) {
  // The slash at the end is removed: with it, a link would stand for its target.
  const directory = given.replace(/(?<=.)\/+$/, "")
  const fileSystem = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const notWritable = (at: string) => (error: PlatformError) =>
    new ScaffoldError({ reason: "NotWritable", path: at, detail: SystemReason.describePlatform(error) })

  const makeDirectory = (at: string) =>
    fileSystem.makeDirectory(at).pipe(
      // The mode must not depend on the umask: whoever can write to a script directory decides what runs.
      Effect.zipRight(fileSystem.chmod(at, 0o755)),
      Effect.mapError(notWritable(at))
    )

  const writeScript = (entry: CatalogueEntry) => {
    const at = path.join(directory, entry.type, entry.action)
    return Effect.logInfo(`Creating script ${at}`).pipe(
      Effect.zipRight(fileSystem.writeFileString(at, template(entry))),
      Effect.zipRight(fileSystem.chmod(at, 0o755)),
      Effect.mapError(notWritable(at))
    )
  }

  if (yield* Effect.mapError(exists(fileSystem, directory), notWritable(directory))) {
    return yield* new ScaffoldError({ reason: "Exists", path: directory })
  }
  yield* Effect.logInfo(`Creating template script directory at ${directory}`)
  // The directories are created one by one. If Node creates all at once, it reports another error than the system's
  // (ENOENT for EROFS).
  for (const parent of above(path, directory)) {
    if (yield* Effect.mapError(exists(fileSystem, parent), notWritable(directory))) continue
    yield* Effect.mapError(fileSystem.makeDirectory(parent, { mode: 0o755 }), notWritable(directory))
  }
  yield* makeDirectory(directory)
  yield* Effect.gen(function* () {
    for (const type of new Set(entries.map((entry) => entry.type))) yield* makeDirectory(path.join(directory, type))
    yield* Effect.forEach(entries, writeScript, { discard: true })
  }).pipe(Effect.onError(() => Effect.ignore(fileSystem.remove(directory, { recursive: true }))))
})
