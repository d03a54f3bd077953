import * as Shebang from "./Shebang.ts"

/** How much of a script is read, in bytes: enough for the comment block at its head, and little of a large program. */
export const headBytes = 8192

const shells = new Set(["sh", "ash", "bash", "dash", "ksh", "mksh", "posh", "yash", "zsh"])

const baseName = (path: string): string => path.slice(path.lastIndexOf("/") + 1)

/**
 * True if the first line names a shell, for which comments do nothing. With an unknown option the answer is false,
 * because that option could change this.
 */
const isShell = ({ argument = "", interpreter }: Shebang.Shebang): boolean =>
  baseName(interpreter) === "env"
    ? shells.has(argument)
    : shells.has(baseName(interpreter)) && /^(?:-[efuvx]+)?$/.test(argument)

/**
 * True if a script has only comments and blank lines, so that running it would do nothing. `head` is its beginning. If
 * the script may be longer than `head`, the answer is false.
 */
export const isEmpty = (head: string): boolean => {
  if (Buffer.byteLength(head) >= headBytes) return false
  const shebang = Shebang.parse(head)
  if (shebang === undefined ? head.startsWith("#!") : !isShell(shebang)) return false
  return head.split("\n").every((line) => /^\s*(?:#|$)/.test(line))
}
