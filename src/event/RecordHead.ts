import * as Effect from "effect/Effect"
import type { DockerEvent } from "./DockerEvent.ts"
import * as Leaves from "./Leaves.ts"
import * as Wire from "./Wire.ts"

/**
 * What the beginning of a record says: whose event it is.
 *
 * @since 1.0.0
 * @category models
 */
export interface RecordHead extends Pick<DockerEvent, "engine" | "Type" | "Action" | "Actor"> {}

const keys: Leaves.OwnKeyTree = new Map([
  ["Type", new Map()],
  ["Action", new Map()],
  ["Actor", new Map([["ID", new Map()]])]
])

/**
 * Reads the beginning of a record. Engines write the type, the action and the id before the labels. It gives undefined if the beginning
 * does not have them. The id may be cut where the beginning ends.
 *
 * @internal
 */
export const read = (beginning: string, engine: string): RecordHead | undefined => {
  try {
    const { leaves } = Leaves.find(beginning, keys, { leaves: 0, characters: 0 })
    const wire = Wire.fromLeaves(leaves)
    if (!Wire.isWire(wire) || wire.Actor?.ID === undefined || wire.Actor.ID === "") return undefined
    return { engine, Type: wire.Type, Action: wire.Action, Actor: { ID: wire.Actor.ID, Attributes: {} } }
  } catch {
    // A string that ends inside an escape.
    return undefined
  }
}

/**
 * Large records of actors that nobody wants now, so that they need not be read.
 *
 * - `has`: true if the large records of this actor are not wanted.
 * - `lose`: counts a large record that was not read.
 *
 * @since 1.0.0
 * @category models
 */
export interface Unwanted {
  readonly has: (actor: Pick<DockerEvent, "engine" | "Type" | "Actor">) => boolean
  readonly lose: (record: RecordHead) => Effect.Effect<void>
}

/**
 * Every record is wanted.
 *
 * @since 1.0.0
 * @category constructors
 */
export const noneUnwanted: Unwanted = { has: () => false, lose: () => Effect.void }
