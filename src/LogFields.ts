/**
 * The fields of log lines, by which logfmt and json lines are searched: docs/running.md lists them. Names that OpenTelemetry defines are
 * taken from it; all others begin with `des.`.
 */

/** The name of each field, in the order in which a line has them. */
export const names = {
  type: "des.event.type",
  action: "des.event.action",
  actorId: "des.actor.id",
  actorName: "des.actor.name",
  containerId: "container.id",
  containerName: "container.name",
  engine: "des.engine",
  script: "des.script",
  run: "des.run",
  attempt: "des.attempt",
  exit: "process.exit.code",
  duration: "des.duration_ms",
  error: "error.type",
  stream: "log.iostream",
  exceptionType: "exception.type",
  exceptionMessage: "exception.message",
  exceptionStack: "exception.stacktrace"
} as const

/** The longest value of a field, in characters. Strangers can make a name or an id very long. */
const longestField = 1024

/** Cuts a text, and counts what is missing. */
export const cut = (text: string, longest: number = longestField): string =>
  text.length <= longest ? text : `${text.slice(0, longest)}… (${text.length - longest} more characters)`

/** Makes the annotations of a log line. A field that is absent or empty is left out. */
export const make = (
  fields: Partial<Readonly<Record<keyof typeof names, string | number | undefined>>>
): Readonly<Record<string, string | number>> => {
  const made: Record<string, string | number> = {}
  for (const key of Object.keys(fields) as ReadonlyArray<keyof typeof names>) {
    const value = fields[key]
    if (value === undefined || value === "") continue
    made[names[key]] = typeof value === "string" ? cut(value) : value
  }
  return made
}

/** The longest name of an actor in a text line, in characters. Container names are shorter, and full ids have 64. */
const longestName = 80

/** Shortens an ID as the docker command does. A name stays as it is. */
const shortId = (id: string): string =>
  /^(sha256:)?[0-9a-f]{64}$/.test(id) ? id.replace("sha256:", "").slice(0, 12) : id

/** An actor as text lines show it: its name, or its short id. */
export const shownActor = (nameOrId: string): string => {
  const name = shortId(nameOrId)
  return name.length > longestName ? `${name.slice(0, longestName)}…` : name
}

const named = (event: string, actor: string): string => (actor === "" ? event : `${event} ${actor}`)

/** What a script is called before a line of its output. Its path is shown from TYPE/ACTION on, if it has that. */
const shownScript = (script: string, event: string, actor: string): string => {
  const at = script.lastIndexOf(`/${event}`)
  const rest = script.slice(at + 1 + event.length)
  return at !== -1 && (rest === "" || rest.startsWith("/"))
    ? named(event + rest, actor)
    : `${script} (${named(event, actor)})`
}

/** A message as a text line shows it: with the event that it is about, where the message does not name it itself. */
export const inText = (message: string, field: (name: string) => string | undefined): string => {
  const type = field(names.type)
  const script = field(names.stream) === undefined ? undefined : field(names.script)
  if (type === undefined) return script === undefined ? message : `${script}: ${message}`
  const event = `${type}/${field(names.action) ?? ""}`
  const actor = shownActor(field(names.actorName) ?? field(names.actorId) ?? "")
  if (script !== undefined) return `${shownScript(script, event, actor)}: ${message}`
  // Log scrapers read the record or the environment at the end of such a message. Both have the name.
  if (message.endsWith("}") || message.startsWith(`${named(event, actor)}: `)) return message
  const missing = message.includes(event) ? actor : named(event, actor)
  return missing === "" ? message : `${message} (${missing})`
}
