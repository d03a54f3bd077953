const units: Readonly<Record<string, number>> = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 }

/** A size as options take it, in bytes: a number of them, or one with K, M or G. Nothing where it is none, and for 0. */
export const parse = (text: string): number | undefined => {
  const [, number, unit = ""] = /^(\d{1,12})([KMG]?)$/.exec(text) ?? []
  return number === undefined || Number(number) === 0 ? undefined : Number(number) * (units[unit] ?? 1)
}
