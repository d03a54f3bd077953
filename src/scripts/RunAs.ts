import { type ExecFileException, execFile } from "node:child_process"
import { readFileSync, realpathSync } from "node:fs"
import { basename } from "node:path"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Passwd from "./Passwd.ts"

/**
 * The user that a script runs as (`user=`).
 *
 * - `launcher`: the program that becomes this user and then the script.
 *
 * @since 1.0.0
 * @category models
 */
export interface RunAs {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
  readonly launcher: string
}

/** A script cannot run as the user that its head names. The message says why, and what to do. */
export class RunAsError extends Data.TaggedError("RunAsError")<{ readonly message: string }> {}

/** The largest number of a user or group. The next one, -1 as the kernel reads it, would leave the user as it is. */
const largestId = 0xff_ff_ff_fe

const idOf = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,10}$/.test(text) && Number(text) <= largestId ? Number(text) : undefined

/** An entry of the password file. */
export type Entry = Pick<RunAs, "gid" | "home" | "name" | "uid">

/** The entry of this user in a text like /etc/passwd; `undefined` if there is none, or none that can be used. */
export const entryOf = (passwd: string, name: string): Entry | undefined => {
  const found = Passwd.rows(passwd).find(([first]) => first === name)
  const uid = idOf(found?.[2])
  const gid = idOf(found?.[3])
  return uid === undefined || gid === undefined ? undefined : { name, uid, gid, home: found?.[5] || "/" }
}

/** Why a user could not be looked up. It says nothing about whether there is such a user. */
export interface NotLookedUp {
  readonly reason: string
}

/** What decides whether a script can run as another user. `entry` is none if there is no such user. */
export interface Situation {
  readonly isRoot: boolean
  readonly entry: Entry | NotLookedUp | undefined
  readonly launcher: string | undefined
}

/** The user to run as, or why a script cannot. */
export const decide = (name: string, { entry, isRoot, launcher }: Situation): RunAs | string => {
  if (!isRoot) return `user=${name}: only root can run a script as another user; run des as root, or remove the option`
  if (entry === undefined) return `user=${name}: there is no such user; correct the name, or create the user`
  if ("reason" in entry) return `user=${name} could not be looked up: ${entry.reason}`
  if (launcher === undefined)
    return `user=${name}: the program setpriv is missing; install util-linux (setpriv of busybox cannot do this)`
  return { ...entry, launcher }
}

/** Where setpriv may be. PATH is not asked, since scripts run as root before they run as somebody else. */
const places = ["/usr/bin/setpriv", "/bin/setpriv", "/usr/sbin/setpriv", "/sbin/setpriv"]

const launcherIn = (candidates: ReadonlyArray<string>): string | undefined =>
  candidates.find((path) => {
    try {
      return basename(realpathSync(path)) !== "busybox"
    } catch {
      return false
    }
  })

const localEntry = (name: string): Entry | undefined => {
  try {
    return entryOf(readFileSync("/etc/passwd", "utf8"), name)
  } catch {
    return undefined
  }
}

/** How long getent may take. A directory service may be asked over the network. */
const lookupPatience = Duration.seconds(5)

/** The most that getent may print, in bytes. */
const longestEntry = 65_536

/** The exit code of getent if there is no such entry (getent(1)). */
const noEntry = 2

/** What a failure of getent says about the user. */
export const failedLookup = ({
  code,
  killed
}: {
  readonly code?: ExecFileException["code"] | undefined
  readonly killed?: boolean | undefined
}): NotLookedUp | undefined => {
  if (code === noEntry) return undefined
  if (code === "ENOENT") return { reason: "the program getent is missing; install it, or add the user to /etc/passwd" }
  if (code === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER") return { reason: "getent printed too much" }
  if (killed === true) return { reason: `getent did not answer within ${Duration.format(lookupPatience)}` }
  return { reason: `getent failed (${code ?? "a signal ended it"})` }
}

/** Asks every source of users that the system has, such as LDAP. */
const askSystem = (name: string): Effect.Effect<Entry | NotLookedUp | undefined> =>
  Effect.async((resume) => {
    const options = {
      timeout: Duration.toMillis(lookupPatience),
      killSignal: "SIGKILL",
      maxBuffer: longestEntry
    } as const
    const child = execFile("getent", ["passwd", name], options, (error, stdout) =>
      resume(Effect.succeed(error === null ? entryOf(stdout, name) : failedLookup(error)))
    )
    return Effect.sync(() => void child.kill("SIGKILL"))
  })

/** Finds the user of this name. Fails if no script can run as this user. It looks each time, since users come and go. */
export const find = (name: string): Effect.Effect<RunAs, RunAsError> =>
  Effect.gen(function* () {
    const isRoot = process.geteuid?.() === 0
    const local = isRoot ? localEntry(name) : undefined
    const entry = isRoot && local === undefined ? yield* askSystem(name) : local
    const decided = decide(name, { isRoot, entry, launcher: launcherIn(places) })
    if (typeof decided === "string") return yield* new RunAsError({ message: decided })
    return decided
  })

/** The variables that are the user's own. */
export const variables = ({ home, name }: RunAs): Readonly<Record<string, string>> => ({
  HOME: home,
  USER: name,
  LOGNAME: name
})

/**
 * The command that runs a script as this user, with its supplementary groups. setpriv becomes the script, so its process
 * id, session and process group are the script's.
 */
export const command = (
  { gid, launcher, uid }: RunAs,
  script: string
): readonly [path: string, ...args: Array<string>] => [
  launcher,
  `--reuid=${uid}`,
  `--regid=${gid}`,
  "--init-groups",
  "--",
  script
]
