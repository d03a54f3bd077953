import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as BoundedJson from "../BoundedJson.ts"
import * as Fingerprint from "./Fingerprint.ts"
import * as OwnKeys from "./OwnKeys.ts"
import { asDocker } from "./PodmanEvents.ts"
import * as Wire from "./Wire.ts"

/**
 * The attributes of an actor, from the engine and from labels: strings by any key. This is one guard and not a `Record` schema, since
 * every event is decoded and can have many labels.
 */
const Attributes = Schema.declare(Wire.isAttributes, {
  description: "an object whose values are strings"
})

/**
 * An event of an engine, decoded from one record of its feed.
 *
 * The fields have the names of the Engine API (moby `api/types/events/events.go`). If podman has its own word for an event of Docker,
 * the fields have Docker's word (container `remove` is `destroy`). The record keeps podman's.
 *
 * - `Action`: any text. Engines put more than a verb there (`exec_create: sh -c x`), see {@link verb}.
 * - `timeNano`: nanoseconds since 1970, exact to the last digit. It is 0 if the engine sent none.
 * - `time`: the same in seconds.
 * - `record`: the raw line as the engine sent it, without its line end. It has every field, also those that are not named here.
 * - `fingerprint`: the same for all records of one event, however they are written. Other events of the engine have other ones.
 * - `engine`: the name of the engine whose feed brought the event. It is empty if there is none.
 * - `synthetic`: true if no engine sent the event. des made it for a change that it missed.
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

const noAttributes: Readonly<Record<string, string>> = {}

/**
 * The text of a number in a record, as the engine wrote it. `JSON.parse` rounds a number that does not fit a double, and every
 * `timeNano` of today is one. The search cannot match inside a string: a quote is escaped there.
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

/**
 * The engine's own attributes of a record that is read in part. Its labels cannot count for the fingerprint: their order decides which
 * of them are read.
 */
const ownAttributes = (attributes: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.fromEntries(
    OwnKeys.attributes.flatMap((key) => (Object.hasOwn(attributes, key) ? [[key, attributes[key] ?? ""]] : []))
  )

/** The fingerprint of the fields as the engine sent them: see {@link Fingerprint.Content}. */
const fingerprintOf = (wire: Wire.Wire, record: string, isPart: boolean): string => {
  const attributes = wire.Actor?.Attributes ?? noAttributes
  return Fingerprint.ofEvent(
    {
      type: wire.Type,
      action: wire.Action,
      id: wire.Actor?.ID ?? "",
      attributes: isPart ? ownAttributes(attributes) : attributes,
      scope: wire.scope ?? "",
      time: wire.timeNano ?? (wire.time ?? 0) * 1e9
    },
    record
  )
}

const fromWire = (wire: Wire.Wire, record: string, engine: string, isPart: boolean): DockerEvent => {
  const { Action, Actor, Type } = asDocker(wire)
  return {
    Type,
    Action,
    Actor: { ID: Actor?.ID ?? "", Attributes: Actor?.Attributes ?? noAttributes },
    scope: wire.scope ?? "",
    time: wire.time ?? 0,
    timeNano: wire.timeNano === undefined ? 0n : exactInteger(record, "timeNano", wire.timeNano),
    record,
    fingerprint: fingerprintOf(wire, record, isPart),
    engine,
    synthetic: false
  }
}

/**
 * The reason why a record is not an event. `path` names the wrong field. It is empty if the whole record is wrong.
 *
 * @internal
 */
export interface NotAnEvent {
  readonly path: ReadonlyArray<string>
  /** The text is made on demand: in a flood of such records only the first ones are logged. */
  readonly why: () => string
}

/**
 * How many values and keys a record may have to be read whole: about 125,000 labels. From a record with more, des reads the engine's own
 * keys and the first labels. To read a million labels would take seconds each time.
 */
const mostValues = 250_000

const fromJson = (
  json: unknown,
  record: string,
  engine: string,
  isPart: boolean
): Either.Either<DockerEvent, NotAnEvent> => {
  const mismatch = Wire.mismatchOf(json)
  return mismatch === undefined
    ? Either.right(fromWire(json as Wire.Wire, record, engine, isPart))
    : Either.left({ path: mismatch.path, why: () => Wire.describe(mismatch) })
}

/** Such a record is not parsed as a whole. So des notices that it is not JSON only if it comes to a string that cannot be read. */
const readPart = (record: string, engine: string): Either.Either<DockerEvent, NotAnEvent> =>
  Either.try({
    try: () => OwnKeys.find(record).leaves,
    catch: (): NotAnEvent => ({ path: [], why: () => "it is not JSON" })
  }).pipe(Either.flatMap((leaves) => fromJson(Wire.fromLeaves(leaves), record, engine, true)))

/**
 * Reads one record without the cost of a `ParseError`, since a feed can be a flood of bad records.
 *
 * @internal
 */
export const read = (record: string, engine: string): Either.Either<DockerEvent, NotAnEvent> => {
  const json = BoundedJson.parse(record, mostValues)
  if (Either.isRight(json)) return fromJson(json.right, record, engine, false)
  const { excess, why } = json.left
  return excess === "values" ? readPart(record, engine) : Either.left({ path: [], why: () => why })
}

// The issue has no value of the record, since the formatter of issues would walk through all of it.
const issueOf = ({ path, why }: NotAnEvent): ParseResult.ParseIssue => {
  const issue = new ParseResult.Type(Schema.String.ast, undefined, why())
  return path.length === 0 ? issue : new ParseResult.Pointer([...path] as [string, ...Array<string>], undefined, issue)
}

const parse = (record: string, engine: string): Either.Either<DockerEvent, ParseResult.ParseIssue> =>
  Either.mapLeft(read(record, engine), issueOf)

/**
 * Decodes one record of the feed of `engine` (default: no engine). A record that is not an event gives a `ParseError` with the reason.
 *
 * @example
 * import { DockerEvent } from "docker-event-scripts"
 * import * as Either from "effect/Either"
 *
 * const record = '{"Type":"container","Action":"die","Actor":{"ID":"c0ffee","Attributes":{"name":"web"}},"time":1}'
 *
 * // container
 * export const type = DockerEvent.decode(record).pipe(Either.map((event) => event.Type))
 *
 * @since 1.0.0
 * @category constructors
 */
export const decode = (record: string, engine = ""): Either.Either<DockerEvent, ParseResult.ParseError> =>
  Either.mapLeft(parse(record, engine), ParseResult.parseError)

/**
 * Makes an event that no engine sent, with a record in the shape of API 1.52. `timeNano` is nanoseconds since 1970.
 *
 * @example
 * import { DockerEvent } from "docker-event-scripts"
 *
 * export const event = DockerEvent.make({
 *   type: "container",
 *   action: "die",
 *   id: "c0ffee",
 *   attributes: { name: "web", exitCode: "1" },
 *   timeNano: 1_795_453_740_123_456_789n
 * })
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
    // As text, since a double cannot hold it.
    record: `${JSON.stringify(wire).slice(0, -1)},"timeNano":${fields.timeNano}}`,
    fingerprint: Fingerprint.ofEvent({ ...fields, scope: wire.scope, time: Number(fields.timeNano) }),
    engine: fields.engine ?? "",
    synthetic: fields.synthetic ?? false
  }
}

/**
 * The schema between a record and its event. It decodes the raw line, and encodes an event as its raw line.
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
 * The action up to its first `:`, as scripts are named: `exec_create` for `exec_create: sh -c x`.
 *
 * @example
 * import { DockerEvent } from "docker-event-scripts"
 *
 * // exec_create
 * export const verb = DockerEvent.verb({ Action: "exec_create: sh -c x" })
 *
 * @since 1.0.0
 * @category combinators
 */
export const verb = (event: Pick<DockerEvent, "Action">): string => {
  const colon = event.Action.indexOf(":")
  return colon === -1 ? event.Action : event.Action.slice(0, colon)
}
