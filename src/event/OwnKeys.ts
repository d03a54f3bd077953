import { entries } from "./EventCatalogue.ts"
import * as Leaves from "./Leaves.ts"

/** The fields that engines send at the top of a record, beside the actor. */
export const fields = ["Type", "Action", "status", "id", "from", "scope", "time", "timeNano", "HealthStatus"]

/** The keys that engines set among the labels. A label with the same name in upper or lower case never replaces them. */
export const attributes = [...new Set(entries.flatMap((entry) => entry.attributes))]

const keys = (names: ReadonlyArray<string>): ReadonlyArray<readonly [string, Leaves.OwnKeyTree]> =>
  names.map((name) => [name, new Map()])

/** The engine's own keys. They are kept however many labels there are. */
export const all: Leaves.OwnKeyTree = new Map([
  ...keys(fields),
  ["Actor", new Map([...keys(["ID"]), ["Attributes", new Map(keys(attributes))]])]
])

/**
 * How much des reads of a record that is read in part. A stranger can write any number of labels, and each costs time. The kernel takes
 * fewer bytes as variables, so nobody with fewer than 4,096 labels loses one because of this bound.
 */
const most: Leaves.Bounds = { leaves: 4096, characters: 16 * 1024 * 1024 }

/** Finds the leaves of a record: the engine's own keys, and the others up to the bounds. */
export const find = (record: string): Leaves.FoundLeaves => Leaves.find(record, all, most)
