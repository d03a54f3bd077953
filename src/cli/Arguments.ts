/** One-letter flags, as the original has them: alone, and with a value. */
const switches = new Set(["h", "c", "v"])
const valued = new Set(["e", "d"])

/** `-cv`, `-vd DIR`, `-dDIR`, `-d=DIR` and `--from=FILE` as separate arguments; what is none of these stays as it is. */
const expand = (argument: string): ReadonlyArray<string> => {
  const long = /^(--[a-z-]+)=(.*)$/s.exec(argument)
  if (long !== null) return long.slice(1)
  if (!/^-[A-Za-z]./.test(argument)) return [argument]
  const expanded: Array<string> = []
  for (let at = 1; at < argument.length; at++) {
    const letter = argument[at] ?? ""
    if (valued.has(letter)) {
      const value = argument.slice(at + 1).replace(/^=/, "")
      return value === "" ? [...expanded, `-${letter}`] : [...expanded, `-${letter}`, value]
    }
    if (!switches.has(letter)) return [argument]
    expanded.push(`-${letter}`)
  }
  return expanded
}

/**
 * The command line with every spelling of short flags that Unix tools take brought to one. A request for the version or
 * for help stands above everything beside it.
 */
export const normalise = (argv: ReadonlyArray<string>): ReadonlyArray<string> => {
  const end = argv.indexOf("--")
  const options = (end === -1 ? argv : argv.slice(0, end)).flatMap(expand)
  if (options.includes("--version")) return ["--version"]
  if (options.includes("-h") || options.includes("--help")) return ["--help"]
  return end === -1 ? options : [...options, ...argv.slice(end)]
}
