import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Fingerprint from "./Fingerprint.ts"
import { asDocker } from "./PodmanEvents.ts"

const isAttributes = (input: unknown): input is Readonly<Record<string, string>> => {
  if (typeof input !== "object" || input === null || Array.isArray(input)) return false
  for (const value of Object.values(input)) if (typeof value !== "string") return false
  return true
}

/**
 * What the engine and the labels say about an actor: strings by key, any key. One guard instead of a `Record`
 * schema, since a feed decodes this for every event and labels can be many.
 */
const Attributes = Schema.declare(isAttributes, {
  description: "an object whose values are strings"
})

/**
 * An event of an engine, decoded from one record of its feed.
 *
 * The fields have the names of the Engine API (moby `api/types/events/events.go`). `Action` is an open string:
 * engines put more than a verb there (`exec_create: sh -c x`), see {@link verb}. What podman says in words of its own is
 * in Docker's, where both mean the same (container `remove` is `destroy`); the record keeps podman's. `timeNano` is nanoseconds since 1970,
 * exact to its last digit, and 0 where the engine sent none; `time` is the same in seconds. `record` is the raw line
 * as the engine sent it, without its line end: it holds every field, also those that are not named here. `fingerprint` is
 * equal for two records of one event, however each was written, and tells it from every other event of its engine. `engine` names the
 * engine whose feed it came from, and is empty where there is none; `synthetic` says that the engine never sent it: des made
 * it up for what it missed.
 *
 * @since 1.0.0
 * @category models
 */
export interface DockerEvent extends Schema.Schema.Type<typeof DockerEvent> {}

/**
 * The schema of a decoded event.
 *
 * @since 1.0.0
 * @category schemas
 */
export const DockerEvent = Schema.Struct({
  Type: Schema.String,
  Action: Schema.String,
  Actor: Schema.Struct({ ID: Schema.String, Attributes }),
  scope: Schema.String,
  time: Schema.Number,
  timeNano: Schema.BigIntFromSelf,
  record: Schema.String,
  fingerprint: Schema.String,
  engine: Schema.String,
  synthetic: Schema.Boolean
}).annotations({ identifier: "DockerEvent" })

const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

/**
 * An event as it is on the wire. The engine leaves out what is empty (Go's omitempty), and podman may send null for empty
 * maps.
 *
 * @internal
 */
export const Wire = Schema.Struct({
  Type: Schema.NonEmptyString,
  Action: Schema.NonEmptyString,
  Actor: optional(Schema.Struct({ ID: optional(Schema.String), Attributes: optional(Schema.NullOr(Attributes)) })),
  scope: optional(Schema.String),
  // What PodmanEvents.ts needs to know an event of podman by.
  status: optional(Schema.Unknown),
  HealthStatus: optional(Schema.Unknown),
  time: optional(Schema.Number),
  timeNano: optional(Schema.Number.pipe(Schema.filter(Number.isInteger, { description: "an integer" })))
})

const isNonEmpty = (input: unknown): boolean => typeof input === "string" && input !== ""

const isActor = (input: unknown): boolean =>
  Predicate.isRecord(input) &&
  (input["ID"] === undefined || typeof input["ID"] === "string") &&
  (input["Attributes"] === undefined || input["Attributes"] === null || isAttributes(input["Attributes"]))

/**
 * What {@link Wire} says of parsed JSON, ten times as fast. Most of a flood needs no more; what is wrong, and why, says the
 * schema.
 *
 * @internal
 */
export const isWire = (input: unknown): input is typeof Wire.Type =>
  Predicate.isRecord(input) &&
  isNonEmpty(input["Type"]) &&
  isNonEmpty(input["Action"]) &&
  (input["Actor"] === undefined || isActor(input["Actor"])) &&
  (input["scope"] === undefined || typeof input["scope"] === "string") &&
  (input["time"] === undefined || typeof input["time"] === "number") &&
  (input["timeNano"] === undefined || Number.isInteger(input["timeNano"]))

const decodeWire = ParseResult.decodeUnknownEither(Wire)
const noAttributes: Readonly<Record<string, string>> = {}

/**
 * The text of a number in a record, as the engine wrote it. `JSON.parse` rounds what does not fit a double, and every
 * `timeNano` of today is such a number. A match inside a string is impossible: there the quote after the key is escaped.
 *
 * @internal
 */
export const numberText = (record: string, key: string, value: number): string => {
  if (Number.isSafeInteger(value)) return String(value)
  const field = `${JSON.stringify(key)}:`
  for (let at = record.indexOf(field); at !== -1; at = record.indexOf(field, at + 1)) {
    const text = /^\s*(-?\d[\d.eE+-]*)/.exec(record.slice(at + field.length, at + field.length + 64))?.[1]
    if (text !== undefined && Number(text) === value) return text
  }
  return String(value)
}

const exactInteger = (record: string, key: string, value: number): bigint => {
  const text = numberText(record, key, value)
  return /^-?\d+$/.test(text) ? BigInt(text) : BigInt(value)
}

const parseJson = (record: string): Either.Either<unknown, ParseResult.ParseIssue> =>
  Either.try({
    try: () => JSON.parse(record) as unknown,
    catch: (cause) => new ParseResult.Type(Schema.String.ast, undefined, String(cause))
  })

/** Of the fields as they were sent: see {@link Fingerprint.Content}. */
const fingerprintOf = (wire: typeof Wire.Type, record: string): string =>
  Fingerprint.ofEvent(
    {
      type: wire.Type,
      action: wire.Action,
      id: wire.Actor?.ID ?? "",
      attributes: wire.Actor?.Attributes ?? noAttributes,
      scope: wire.scope ?? "",
      time: wire.timeNano ?? (wire.time ?? 0) * 1e9
    },
    record
  )

const fromWire = (wire: typeof Wire.Type, record: string, engine: string): DockerEvent => {
  const { Action, Actor, Type } = asDocker(wire)
  return {
    Type,
    Action,
    Actor: { ID: Actor?.ID ?? "", Attributes: Actor?.Attributes ?? noAttributes },
    scope: wire.scope ?? "",
    time: wire.time ?? 0,
    timeNano: wire.timeNano === undefined ? 0n : exactInteger(record, "timeNano", wire.timeNano),
    record,
    fingerprint: fingerprintOf(wire, record),
    engine,
    synthetic: false
  }
}

// Apart from the schema, which checks its result once more: the feed decodes every event that an engine sends.
const parse = (record: string, engine: string): Either.Either<DockerEvent, ParseResult.ParseIssue> =>
  Either.flatMap(parseJson(record), (json) =>
    Either.map(isWire(json) ? Either.right(json) : decodeWire(json), (wire) => fromWire(wire, record, engine))
  )

/**
 * Decodes one record of the feed of `engine` (default: of none); what is no event is a `ParseError` that says why.
 *
 * @since 1.0.0
 * @category constructors
 */
export const decode = (record: string, engine = ""): Either.Either<DockerEvent, ParseResult.ParseError> =>
  Either.mapLeft(parse(record, engine), ParseResult.parseError)

/**
 * An event that no engine sent, with a record in the shape of API 1.52. `timeNano` is nanoseconds since 1970.
 *
 * @since 1.0.0
 * @category constructors
 */
export const make = (fields: {
  readonly type: string
  readonly action: string
  readonly id: string
  readonly attributes: Readonly<Record<string, string>>
  readonly timeNano: bigint
  readonly engine?: string
  readonly synthetic?: boolean
}): DockerEvent => {
  const wire = {
    Type: fields.type,
    Action: fields.action,
    Actor: { ID: fields.id, Attributes: fields.attributes },
    scope: "local",
    time: Number(fields.timeNano / 1_000_000_000n)
  }
  return {
    ...wire,
    timeNano: fields.timeNano,
    // As text: a double does not hold it.
    record: `${JSON.stringify(wire).slice(0, -1)},"timeNano":${fields.timeNano}}`,
    fingerprint: Fingerprint.ofEvent({ ...fields, scope: wire.scope, time: Number(fields.timeNano) }),
    engine: fields.engine ?? "",
    synthetic: fields.synthetic ?? false
  }
}

/**
 * The schema between a record and its event: decodes the raw line, and encodes an event back to it.
 *
 * @since 1.0.0
 * @category schemas
 */
export const FromRecord: Schema.Schema<DockerEvent, string> = Schema.transformOrFail(
  Schema.String,
  Schema.typeSchema(DockerEvent),
  { strict: true, decode: (record) => parse(record, ""), encode: (event) => Either.right(event.record) }
).annotations({ identifier: "DockerEvent.FromRecord" })

/**
 * The action up to its first `:`, which is how scripts are named: `exec_create` for `exec_create: sh -c x`.
 *
 * @since 1.0.0
 * @category combinators
 */
export const verb = (event: Pick<DockerEvent, "Action">): string => {
  const colon = event.Action.indexOf(":")
  return colon === -1 ? event.Action : event.Action.slice(0, colon)
}
