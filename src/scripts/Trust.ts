import { lstatSync, readFileSync, readlinkSync, type Stats, statSync } from "node:fs"
import { dirname } from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as ShellWord from "../ShellWord.ts"
import * as SystemReason from "../SystemReason.ts"
import * as PrivateGroup from "./PrivateGroup.ts"

/**
 * A path is not trusted, because another user could change what des would run. The message names the path and the
 * reason, and says how to fix it.
 *
 * @since 1.0.0
 * @category errors
 */
export class UntrustedError extends Schema.TaggedError<UntrustedError>()("UntrustedError", {
  reason: Schema.Literal("Owner", "GroupWritable", "WorldWritable", "Link", "Unreadable"),
  path: Schema.String,
  detail: Schema.String,
  fix: Schema.String
}) {
  override get message(): string {
    return `${this.path} ${this.detail}; ${this.fix}`
  }
}

/**
 * Decides whether a path may be run.
 *
 * - `check`: checks the file, each directory above it, and the targets of links on the way. If every directory is
 *   trusted, nobody else can replace the file, so the result still holds when the file runs.
 *
 * @example
 * import { Trust } from "docker-event-scripts"
 * import * as Effect from "effect/Effect"
 *
 * export const isTrusted = Effect.flatMap(Trust.Trust, ({ check }) => check("/etc/docker/events.d/container/die")).pipe(
 *   Effect.as(true),
 *   Effect.catchTag("UntrustedError", ({ message }) => Effect.as(Effect.logError(message), false))
 * )
 *
 * @since 1.0.0
 * @category services
 */
export class Trust extends Context.Tag("des/Trust")<
  Trust,
  { readonly check: (path: string) => Effect.Effect<void, UntrustedError> }
>() {}

/** The user that des runs as. Besides root, only this user may own what des runs. */
interface Self {
  readonly uid: number
  /** des's primary group. */
  readonly gid: number
  /** True if nobody else is in that group. */
  readonly hasPrivateGroup: () => boolean
}

/** How many links are followed in one path: as many as Linux follows (path_resolution(7)). */
const mostLinks = 40

const ownerName = (self: Self): string => (self.uid === 0 ? "root" : String(self.uid))

const isSticky = (directory: string): boolean => (lstatSync(directory).mode & 0o1000) !== 0

const judge = (path: string, info: Stats, self: Self, stickyAllowed: boolean): UntrustedError | undefined => {
  if (info.uid !== 0 && info.uid !== self.uid) {
    return new UntrustedError({
      reason: "Owner",
      path,
      detail: `belongs to user ${info.uid}, who could change it`,
      fix: `chown ${ownerName(self)} ${ShellWord.quote(path)} fixes it`
    })
  }
  const sticky = info.isDirectory() && (info.mode & 0o1000) !== 0
  if (sticky && stickyAllowed) return undefined
  if ((info.mode & 0o002) !== 0) {
    return new UntrustedError({
      reason: "WorldWritable",
      path,
      detail: "can be written by everybody",
      fix: `chmod o-w ${ShellWord.quote(path)} fixes it`
    })
  }
  if ((info.mode & 0o020) !== 0 && info.gid !== 0) {
    const isPrimary = self.uid !== 0 && info.gid === self.gid
    if (isPrimary && self.hasPrivateGroup()) return undefined
    return new UntrustedError({
      reason: "GroupWritable",
      path,
      detail: `can be written by group ${info.gid}${isPrimary ? ", where des's user is not alone" : ""}`,
      fix: `chmod g-w ${ShellWord.quote(path)} fixes it`
    })
  }
  return undefined
}

const unreadable = (path: string, cause: unknown) =>
  new UntrustedError({
    reason: "Unreadable",
    path,
    detail: `cannot be checked: ${SystemReason.describe(cause)}`,
    fix: "des does not run what it cannot check"
  })

/**
 * Where a path leads. `real` is the path without links, `passed` are all files and directories on the way, `links`
 * counts the links, and `problem` is the first thing that is not trusted.
 */
interface Place {
  readonly real: string
  readonly passed: ReadonlySet<string>
  readonly links: number
  readonly problem: UntrustedError | undefined
}

const top: Place = { real: "/", passed: new Set(), links: 0, problem: undefined }

/**
 * Follows a path from a place as the kernel does, and judges everything on the way, the place included. `stickyAllowed`
 * is true for a directory that may be sticky: everybody can write to it, but nobody can replace another user's file.
 */
const walk = (start: Place, path: string, self: Self, stickyAllowed: (real: string) => boolean): Place => {
  let { links, real } = start
  let problem = judge(real, lstatSync(real), self, stickyAllowed(real))
  const passed = new Set(start.passed).add(real)
  // resolve() would be wrong here: it removes a name and the `..` after it, even if the name is a link.
  const rest = path.split("/").reverse()
  for (let name = rest.pop(); name !== undefined && problem === undefined; name = rest.pop()) {
    if (name === "" || name === ".") continue
    if (name === "..") {
      real = dirname(real)
      continue
    }
    const next = real === "/" ? `/${name}` : `${real}/${name}`
    const info = lstatSync(next)
    if (info.isSymbolicLink()) {
      // In a sticky directory any user may have made the link.
      if (isSticky(real) && info.uid !== 0 && info.uid !== self.uid) {
        problem = new UntrustedError({
          reason: "Link",
          path: next,
          detail: `is a link of user ${info.uid}`,
          fix: `chown -h ${ownerName(self)} ${ShellWord.quote(next)} fixes it`
        })
      }
      if (++links > mostLinks) problem = unreadable(next, "too many links")
      const target = readlinkSync(next)
      if (target.startsWith("/")) real = "/"
      rest.push(...target.split("/").reverse())
      continue
    }
    problem = judge(next, info, self, stickyAllowed(next))
    real = next
    passed.add(real)
  }
  return { real, passed, links, problem }
}

/**
 * Makes a path absolute, against the working directory of this moment. des then checks and runs the same path, even if
 * the working directory is moved. A name and the `..` after it stay, unlike with resolve(), because the name may be a
 * link.
 *
 * @internal
 */
export const absolute = (path: string): string => {
  const parts = `${path.startsWith("/") ? "" : process.cwd()}/${path}`.split("/")
  return `/${parts.filter((part) => part !== "" && part !== ".").join("/")}`
}

const check = (path: string, directory: string, self: Self): UntrustedError | undefined => {
  const root = walk(top, directory, self, () => true)
  if (root.problem !== undefined) return root.problem
  // A sticky directory such as /tmp is usual above the script directory. Below it, everybody could add scripts there.
  const stickyAllowed = (passed: string) => passed !== root.real && root.passed.has(passed)
  // The way to the script directory was judged a moment ago, so only the rest is walked.
  const { links, problem, real } = path.startsWith(`${directory}/`)
    ? walk(root, path.slice(directory.length), self, stickyAllowed)
    : walk(top, path, self, stickyAllowed)
  if (problem !== undefined || links === 0) return problem
  // A link in /proc may lead elsewhere than its text says.
  const [judged, opened] = [lstatSync(real), statSync(path)]
  return judged.dev === opened.dev && judged.ino === opened.ino
    ? undefined
    : unreadable(path, "it leads to another file than its links say")
}

/** Reads a file of users or groups. Returns an empty text if there is none, as in a small container. */
const readIfThere = (path: string): string =>
  lstatSync(path, { throwIfNoEntry: false }) ? readFileSync(path, "utf8") : ""

/**
 * Finds out which user des runs as. The files of users and groups are read only if they matter, and once for each
 * check.
 */
const whoami = (): Self => {
  const account = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
  let isPrivate: boolean | undefined
  return {
    ...account,
    hasPrivateGroup: () => {
      isPrivate ??= PrivateGroup.isPrivate(account, {
        passwd: readIfThere("/etc/passwd"),
        group: readIfThere("/etc/group")
      })
      return isPrivate
    }
  }
}

/**
 * Trusts a path if it belongs to root or to des's own user and nobody else can write to it. Write permission is allowed
 * for root's group, and, if des is not root, for its own primary group if nobody else is in it. A sticky directory is
 * allowed above the script directory. A relative directory is resolved against the working directory at the start.
 *
 * A check is one synchronous step of a few system calls, without other work in between.
 *
 * @example
 * import { Trust } from "docker-event-scripts"
 * import * as Effect from "effect/Effect"
 *
 * export const checked = Effect.flatMap(Trust.Trust, ({ check }) => check("/etc/docker/events.d/all")).pipe(
 *   Effect.provide(Trust.layer({ directory: "/etc/docker/events.d" }))
 * )
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: { readonly directory: string }): Layer.Layer<Trust> =>
  Layer.sync(Trust, () => {
    const directory = absolute(options.directory)
    return {
      check: (path) =>
        Effect.try({
          try: () => check(absolute(path), directory, whoami()),
          catch: (cause) => unreadable(path, cause)
        }).pipe(Effect.flatMap((problem) => (problem === undefined ? Effect.void : problem)))
    }
  })

/**
 * Trusts every path, as the original did.
 *
 * @example
 * import { ScriptDirectory, Trust } from "docker-event-scripts"
 * import * as Layer from "effect/Layer"
 *
 * // For a directory that only tests write to.
 * export const DirectoryLive = ScriptDirectory.layer({ directory: "test/events.d" }).pipe(
 *   Layer.provide(Trust.layerInsecure)
 * )
 *
 * @since 1.0.0
 * @category layers
 */
export const layerInsecure: Layer.Layer<Trust> = Layer.succeed(Trust, { check: () => Effect.void })
