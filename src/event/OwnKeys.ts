import { entries } from "./EventCatalogue.ts"
import * as Leaves from "./Leaves.ts"

/** The fields that engines send at the top of a record, beside the actor. */
export const fields = ["Type", "Action", "status", "id", "from", "scope", "time", "timeNano", "HealthStatus"]

/** Keys that engines set among the labels. A label of the same name in other letters never takes their place. */
export const attributes = [...new Set(entries.flatMap((entry) => entry.attributes))]

const keys = (names: ReadonlyArray<string>): ReadonlyArray<readonly [string, Leaves.Own]> =>
  names.map((name) => [name, new Map()])

/** The keys of the engine's own, which no number of labels pushes out. */
export const all: Leaves.Own = new Map([
  ...keys(fields),
  ["Actor", new Map([...keys(["ID"]), ["Attributes", new Map(keys(attributes))]])]
])

/**
 * How much is read of a record that is read in part: a stranger can write any number of labels, and each costs time. The
 * kernel takes less of both as variables, so who has fewer than 4,096 labels loses none by this.
 */
const most: Leaves.Bounds = { leaves: 4096, characters: 16 * 1024 * 1024 }

/** The leaves of a record: the engine's own keys, and of the others as many as are read. */
export const find = (record: string): Leaves.Found => Leaves.find(record, all, most)
