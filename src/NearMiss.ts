/** How many letters of a name may be wrong. */
const mostWrong = 2

/** The longest text that is compared. A longer one is not a mistyped name, and comparing it would take time. */
const longestName = 64

/**
 * How many steps turn one text into the other: to add, remove or replace a letter, or to swap two that stand side by
 * side.
 */
const distance = (one: string, other: string): number => {
  const [from, to] = [[...one], [...other]]
  let before: ReadonlyArray<number> = []
  let row: ReadonlyArray<number> = Array.from({ length: to.length + 1 }, (_, at) => at)
  for (const [at, letter] of from.entries()) {
    const next = [at + 1]
    for (const [column, its] of to.entries()) {
      const replaced = (row[column] ?? 0) + (letter === its ? 0 : 1)
      const isSwapped = at > 0 && column > 0 && letter === to[column - 1] && from[at - 1] === its
      const swapped = isSwapped ? (before[column - 1] ?? 0) + 1 : Number.POSITIVE_INFINITY
      next.push(Math.min(replaced, swapped, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1))
    }
    before = row
    row = next
  }
  return row[to.length] ?? 0
}

/** The one of these names that a text probably means; `undefined` if no name is near. */
export const find = (text: string, names: ReadonlyArray<string>): string | undefined => {
  const written = text.toLowerCase()
  if (written.length > longestName) return undefined
  const near = names
    .map((name) => ({ name, wrong: distance(written, name) }))
    // In a short name fewer letters may be wrong.
    .filter(({ name, wrong }) => wrong <= mostWrong && wrong * 2 < name.length)
  return near.toSorted((one, other) => one.wrong - other.wrong)[0]?.name
}
