/** The first line of a script, `#!INTERPRETER ARGUMENT`, which tells the kernel what runs the script. */
export interface Shebang {
  /** The program that runs the script, without the carriage return of a Windows line end. */
  readonly interpreter: string
  readonly argument: string | undefined
  /** True if the line ends with CR LF. The kernel then takes the CR as part of the name. */
  readonly carriageReturn: boolean
}

/** How much of a file the kernel reads to find its first line, in bytes (BINPRM_BUF_SIZE). */
export const headBytes = 256

/** Reads the first line as the kernel does (execve(2)). Returns `undefined` if it names no interpreter. */
export const parse = (head: string): Shebang | undefined => {
  if (!head.startsWith("#!")) return undefined
  const [line = ""] = head.slice(2).split("\n", 1)
  const carriageReturn = line.endsWith("\r")
  const text = (carriageReturn ? line.slice(0, -1) : line).replace(/^[ \t]+|[ \t]+$/g, "")
  const [, interpreter, argument] = /^([^ \t]+)(?:[ \t]+(.*))?$/s.exec(text) ?? []
  return interpreter === undefined ? undefined : { interpreter, argument, carriageReturn }
}
