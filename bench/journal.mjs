// @ts-check
import { setTimeout as sleep } from "node:timers/promises"
import Database from "libsql"
import { now } from "./clock.mjs"
import { within } from "./processes.mjs"

/** So often a journal is looked at, in milliseconds: a look must not take from des what is measured. */
const interval = 5

/**
 * Looks at the journal of a des that runs.
 *
 * @param {string} state its state directory
 */
export const openJournal = (state) => {
  const database = new Database(`${state}/journal.sqlite`, { readonly: true })
  const newest = database.prepare("SELECT coalesce(max(id), 0) AS id FROM event")
  const counted = database.prepare("SELECT count(*) AS id FROM event")
  const look = (/** @type {typeof newest} */ statement) => /** @type {{ id: number }} */ (statement.get()).id
  const reached = async (/** @type {number} */ count) => {
    // The ids have no holes; to count the rows takes longer.
    while (look(newest) < count) await sleep(interval)
    const time = now()
    if (look(counted) !== count) throw new Error(`the journal has ${look(counted)} events instead of ${count}`)
    return time
  }
  return {
    /** Waits until so many events are in it, and gives the time of that. */
    reaches: (/** @type {number} */ count) => within(`${count} events in the journal`, reached(count)),
    close: () => database.close()
  }
}
