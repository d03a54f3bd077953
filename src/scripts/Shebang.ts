/** What the first line of a script asks the kernel for: the program that runs it, as it stands there, and that program's argument. */
export interface Shebang {
  /** Without the carriage return that a line end of Windows leaves at its end. */
  readonly interpreter: string
  readonly argument: string | undefined
  /** Whether the line ends in CR LF: the kernel takes the CR for a part of the name. */
  readonly carriageReturn: boolean
}

/** How much of a file the kernel reads to find its first line, in bytes (BINPRM_BUF_SIZE). */
export const headBytes = 256

/** Reads the first line as the kernel does (execve(2)); `undefined` where it names no interpreter. */
export const parse = (head: string): Shebang | undefined => {
  if (!head.startsWith("#!")) return undefined
  const [line = ""] = head.slice(2).split("\n", 1)
  const carriageReturn = line.endsWith("\r")
  const text = (carriageReturn ? line.slice(0, -1) : line).replace(/^[ \t]+|[ \t]+$/g, "")
  const [, interpreter, argument] = /^([^ \t]+)(?:[ \t]+(.*))?$/s.exec(text) ?? []
  return interpreter === undefined ? undefined : { interpreter, argument, carriageReturn }
}
