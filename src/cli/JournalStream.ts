import { fstatSync } from "node:fs"

/** Which file a descriptor leads to. */
interface Identity {
  readonly dev: bigint
  readonly ino: bigint
}

/**
 * True if the value of JOURNAL_STREAM, `DEVICE:INODE`, names this file. systemd sets the variable for a unit whose output
 * goes to journald. A program that the unit starts inherits it, but its stderr may be another file.
 */
export const names = (value: string | undefined, file: Identity): boolean => value === `${file.dev}:${file.ino}`

/** True if what des writes to stderr goes to journald. */
export const isStderr = (): boolean => {
  try {
    return names(process.env["JOURNAL_STREAM"], fstatSync(2, { bigint: true }))
  } catch {
    return false
  }
}
