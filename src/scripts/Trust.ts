import { lstatSync, readFileSync, readlinkSync, type Stats, statSync } from "node:fs"
import { dirname } from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as SystemReason from "../SystemReason.ts"
import * as PrivateGroup from "./PrivateGroup.ts"

/**
 * Somebody else could change what des would run: names the path, why it is not trusted, and the command that mends it.
 *
 * @since 1.0.0
 * @category errors
 */
export class UntrustedError extends Schema.TaggedError<UntrustedError>()("UntrustedError", {
  reason: Schema.Literal("Owner", "GroupWritable", "WorldWritable", "Link", "Unreadable"),
  path: Schema.String,
  detail: Schema.String,
  mend: Schema.String
}) {
  override get message(): string {
    return `${this.path} ${this.detail}; ${this.mend}`
  }
}

/**
 * Whether a path may be run: `check` looks at the file, each directory above it, and where links on the way lead. With
 * every directory trusted nobody else can put another file there, so that a check holds until the file runs.
 *
 * @since 1.0.0
 * @category services
 */
export class Trust extends Context.Tag("des/Trust")<
  Trust,
  { readonly check: (path: string) => Effect.Effect<void, UntrustedError> }
>() {}

/** Who may own what des runs, beside root: des itself. */
interface Self {
  readonly uid: number
  /** des's primary group. */
  readonly gid: number
  /** Whether nobody else is in that group. */
  readonly hasPrivateGroup: () => boolean
}

const quote = (path: string): string => (/^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`)

/** As many as Linux follows (path_resolution(7)). */
const mostLinks = 40

const ownerName = (self: Self): string => (self.uid === 0 ? "root" : String(self.uid))

const isSticky = (directory: string): boolean => (lstatSync(directory).mode & 0o1000) !== 0

const judge = (path: string, info: Stats, self: Self, stickyAllowed: boolean): UntrustedError | undefined => {
  if (info.uid !== 0 && info.uid !== self.uid) {
    return new UntrustedError({
      reason: "Owner",
      path,
      detail: `belongs to user ${info.uid}, who could change it`,
      mend: `chown ${ownerName(self)} ${quote(path)} mends it`
    })
  }
  const sticky = info.isDirectory() && (info.mode & 0o1000) !== 0
  if (sticky && stickyAllowed) return undefined
  if ((info.mode & 0o002) !== 0) {
    return new UntrustedError({
      reason: "WorldWritable",
      path,
      detail: "can be written by everybody",
      mend: `chmod o-w ${quote(path)} mends it`
    })
  }
  if ((info.mode & 0o020) !== 0 && info.gid !== 0) {
    const isPrimary = self.uid !== 0 && info.gid === self.gid
    if (isPrimary && self.hasPrivateGroup()) return undefined
    return new UntrustedError({
      reason: "GroupWritable",
      path,
      detail: `can be written by group ${info.gid}${isPrimary ? ", where des's user is not alone" : ""}`,
      mend: `chmod g-w ${quote(path)} mends it`
    })
  }
  return undefined
}

const unreadable = (path: string, cause: unknown) =>
  new UntrustedError({
    reason: "Unreadable",
    path,
    detail: `cannot be looked at: ${SystemReason.describe(cause)}`,
    mend: "nothing unknown is run"
  })

/** Where a path leads: the real one, all that it passes, how many links, and what is not to be trusted there. */
interface Place {
  readonly real: string
  readonly passed: ReadonlySet<string>
  readonly links: number
  readonly problem: UntrustedError | undefined
}

const top: Place = { real: "/", passed: new Set(), links: 0, problem: undefined }

/**
 * Follows a path from a place as the kernel does, and judges everything that it passes, the place included.
 * `stickyAllowed` says of a directory's real path whether it may be one that everybody writes to and nobody can replace a
 * file in.
 */
const walk = (start: Place, path: string, self: Self, stickyAllowed: (real: string) => boolean): Place => {
  let { links, real } = start
  let problem = judge(real, lstatSync(real), self, stickyAllowed(real))
  const passed = new Set(start.passed).add(real)
  // Not resolve(), which takes a name and its `..` away where the name is a link.
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
      // Where only the sticky bit protects a directory, anybody can have made the link.
      if (isSticky(real) && info.uid !== 0 && info.uid !== self.uid) {
        problem = new UntrustedError({
          reason: "Link",
          path: next,
          detail: `is a link of user ${info.uid}`,
          mend: `chown -h ${ownerName(self)} ${quote(next)} mends it`
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
 * A path from the root, as it is at this moment: what is checked and what is run must be one path, also when the working
 * directory is moved. Not resolve(): a name and its `..` stay, since the name may be a link.
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
  // Above the script directory a sticky one such as /tmp is usual; elsewhere it would be a place for everybody's scripts.
  const stickyAllowed = (passed: string) => passed !== root.real && root.passed.has(passed)
  // What leads to the script directory was judged this moment.
  const { links, problem, real } = path.startsWith(`${directory}/`)
    ? walk(root, path.slice(directory.length), self, stickyAllowed)
    : walk(top, path, self, stickyAllowed)
  if (problem !== undefined || links === 0) return problem
  // The links of /proc lead elsewhere than their text says.
  const [judged, opened] = [lstatSync(real), statSync(path)]
  return judged.dev === opened.dev && judged.ino === opened.ino
    ? undefined
    : unreadable(path, "it leads elsewhere than its links say")
}

/** A file of users or groups; empty where there is none, as in a small container. */
const readIfThere = (path: string): string =>
  lstatSync(path, { throwIfNoEntry: false }) ? readFileSync(path, "utf8") : ""

/** Who des is. The files are read only where it matters, and once for each check. */
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
 * Trusts what belongs to root or to des's own user and can be written by no one else. Write permission for root's group is
 * allowed, and where des is not root that of its own primary group, if nobody else is in it; so is a sticky directory above
 * the script directory. A relative directory is relative to the working directory at the start.
 *
 * The look is one step of a few system calls, without other work in between.
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
 * Trusts everything, as the original did.
 *
 * @since 1.0.0
 * @category layers
 */
export const layerInsecure: Layer.Layer<Trust> = Layer.succeed(Trust, { check: () => Effect.void })
