/** Reads a logfmt line as log collectors do: `key=value` pairs, a value bare or a JSON string. What is none of these is an error. */
export const parseLogfmt = (line: string): Readonly<Record<string, string>> => {
  const pairs: Record<string, string> = {}
  const pair = /([^\s"=]+)=("(?:[^"\\]|\\.)*"|[^\s"=]*)(?: |$)/y
  while (pair.lastIndex < line.length) {
    const at = pair.lastIndex
    const found = pair.exec(line)
    if (found === null) throw new Error(`no logfmt at ${at}: ${line}`)
    const [, key = "", value = ""] = found
    if (key in pairs) throw new Error(`${key} twice: ${line}`)
    pairs[key] = value.startsWith('"') ? String(JSON.parse(value)) : value
  }
  return pairs
}
