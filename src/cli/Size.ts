const units: Readonly<Record<string, number>> = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 }

/**
 * Parses a size to bytes: a number of bytes, or a number with K, M or G. Returns `undefined` for 0 and if the text is
 * not a size.
 */
export const parse = (text: string): number | undefined => {
  const [, number, unit = ""] = /^(\d{1,12})([KMG]?)$/.exec(text) ?? []
  return number === undefined || Number(number) === 0 ? undefined : Number(number) * (units[unit] ?? 1)
}

/** Writes a number of bytes as options take it, with the largest unit that needs no fraction. */
export const format = (bytes: number): string => {
  const [name, unit] = Object.entries(units).findLast(([, size]) => bytes % size === 0) ?? ["", 1]
  return `${bytes / unit}${name}`
}
