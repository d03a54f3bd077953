/** Spans of time and sizes as people read them. */

/** A span of time in two units at most. */
export const formatAge = (milliseconds: number): string => {
  const seconds = Math.max(0, Math.round(milliseconds / 1000))
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600), Math.floor(seconds / 60)]
  if (days > 0) return `${days} d ${hours % 24} h`
  if (hours > 0) return `${hours} h ${minutes % 60} min`
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`
}

/** Some events in words. */
export const formatEvents = (events: number): string => `${events} ${events === 1 ? "event" : "events"}`

/** A number of bytes with its unit. */
export const formatBytes = (bytes: number): string => {
  const at = bytes < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10))
  return at === 0 ? `${bytes} bytes` : `${(bytes / 1024 ** at).toFixed(1)} ${["", "KiB", "MiB", "GiB", "TiB"][at]}`
}
