const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** How a duration is written, for messages that refuse one. */
export const expected = "a duration such as 30s, 10m or 500ms"

/** How a duration in milliseconds is written, in the largest unit that needs no fraction; zero has no unit. */
export const format = (milliseconds: number): string => {
  const fitting = Object.entries(units).findLast(([, size]) => milliseconds % size === 0)
  return milliseconds === 0 || fitting === undefined
    ? String(milliseconds)
    : `${milliseconds / fitting[1]}${fitting[0]}`
}

/**
 * The milliseconds of `500ms`, `30s`, `10m`, `2h` or `1d`; a bare number is seconds. Returns `undefined` if the text is
 * not a duration.
 */
export const parse = (text: string): number | undefined => {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text)
  return match === null ? undefined : Number(match[1]) * (units[match[2] ?? "s"] ?? 0)
}
