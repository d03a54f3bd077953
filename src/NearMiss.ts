/** How many letters of a name may be wrong. */
const mostWrong = 2

/** The longest text that is compared. A longer one is not a mistyped name, and comparing it would take time. */
const longestName = 64

/** How many letters must be added, removed or replaced to turn one text into the other. */
const distance = (one: string, other: string): number => {
  let row = Array.from({ length: other.length + 1 }, (_, at) => at)
  for (const [at, letter] of [...one].entries()) {
    const next = [at + 1]
    for (const [column, its] of [...other].entries()) {
      const replaced = (row[column] ?? 0) + (letter === its ? 0 : 1)
      next.push(Math.min(replaced, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1))
    }
    row = next
  }
  return row[other.length] ?? 0
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
