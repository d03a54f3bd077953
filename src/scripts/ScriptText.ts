import * as Shebang from "./Shebang.ts"

/** How much of a script is read: the comment block at its head, and no more of a large program. In bytes. */
export const headBytes = 8192

const shells = new Set(["sh", "ash", "bash", "dash", "ksh", "mksh", "posh", "yash", "zsh"])

const baseName = (path: string): string => path.slice(path.lastIndexOf("/") + 1)

/** Whether the first line names a shell, which does nothing with comments. An option that could change that counts as none. */
const isShell = ({ argument = "", interpreter }: Shebang.Shebang): boolean =>
  baseName(interpreter) === "env"
    ? shells.has(argument)
    : shells.has(baseName(interpreter)) && /^(?:-[efuvx]+)?$/.test(argument)

/**
 * True if a script has nothing but comments and blank lines, so that running it would do nothing. `head` is what stands at
 * its beginning; where it may go on, it counts as a script with commands.
 */
export const isEmpty = (head: string): boolean => {
  if (Buffer.byteLength(head) >= headBytes) return false
  const shebang = Shebang.parse(head)
  if (shebang === undefined ? head.startsWith("#!") : !isShell(shebang)) return false
  return head.split("\n").every((line) => /^\s*(?:#|$)/.test(line))
}
