/** How many letters may be wrong in a name that is still recognised. */
const mostWrong = 2

/** A longer text is no name, and comparing it would take time. */
const longestName = 64

/** In how many steps (a letter put in, left out, or replaced) one text becomes the other. */
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

/** The name that was probably meant by a text that is none of these names. */
export const find = (text: string, names: ReadonlyArray<string>): string | undefined => {
  const written = text.toLowerCase()
  if (written.length > longestName) return undefined
  const near = names
    .map((name) => ({ name, wrong: distance(written, name) }))
    // In a short name one wrong letter leaves little that is right.
    .filter(({ name, wrong }) => wrong <= mostWrong && wrong * 2 < name.length)
  return near.toSorted((one, other) => one.wrong - other.wrong)[0]?.name
}
