import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Scope from "effect/Scope"
import * as Trust from "../../src/scripts/Trust.ts"
import { describeRoot } from "../support/DescribeRoot.ts"
import { type Access, type Files, makeFiles } from "../support/Files.ts"

const nobody = 65_534
const somebody = 1000

const check = (directory: string, path: string): Either.Either<void, Trust.UntrustedError> =>
  Effect.runSync(
    Effect.flatMap(Trust.Trust, (trust) => trust.check(path)).pipe(
      Effect.provide(Trust.layer({ directory })),
      Effect.either
    )
  )

const assertTrusted = (directory: string, path: string): void =>
  Either.match(check(directory, path), { onLeft: ({ message }) => assert.fail(message), onRight: () => undefined })

const assertRefused = (directory: string, path: string, reason: Trust.UntrustedError["reason"], names: string) => {
  const error = Either.getLeft(check(directory, path))
  if (error._tag === "None") return assert.fail(`${path} is trusted`)
  assert.deepStrictEqual({ reason: error.value.reason, path: error.value.path }, { reason, path: names })
  assert.include(error.value.message, names)
  assert.include(error.value.message, error.value.fix)
  return error.value
}

/** Does what the message says, as somebody who pastes it into a shell, but nothing to what is not the test's own. */
const paste = ({ fix, path }: Trust.UntrustedError, cwd = "/"): void => {
  assert.match(fix, /^ch(?:own|mod) .* fixes it$/s)
  for (const text of [path, fix]) assert.include(text, "/des-files-")
  execFileSync("sh", ["-c", fix.replace(/ fixes it$/, "")], { cwd })
}

const test = (name: string, body: (files: Files) => Effect.Effect<void, never, Scope.Scope> | void) =>
  it.scopedLive(name, () => Effect.flatMap(makeFiles, (files) => Effect.suspend(() => body(files) ?? Effect.void)))

/** The script of most tests, each directory above it, and what they are called. */
const script = "above/d/container/start/10-script"
const places = {
  "the script": script,
  "the directory of scripts": "above/d/container/start",
  "the directory of the type": "above/d/container",
  "the script directory": "above/d",
  "a directory above the script directory": "above"
}

interface Damage {
  readonly access: Access
  readonly reason: Trust.UntrustedError["reason"]
  readonly command: string
}

const damages: Readonly<Record<string, Damage>> = {
  "belongs to another user": { access: { uid: nobody }, reason: "Owner", command: "chown root" },
  "belongs to an ordinary user": { access: { uid: somebody, gid: somebody }, reason: "Owner", command: "chown root" },
  "can be written by another group": {
    access: { gid: nobody, mode: 0o775 },
    reason: "GroupWritable",
    command: "chmod g-w"
  },
  "can be written by everybody": { access: { mode: 0o757 }, reason: "WorldWritable", command: "chmod o-w" }
}

/** What stands for DIR and for the script on each way to it. */
const ways: Readonly<Record<string, (files: Files) => readonly [directory: string, path: string]>> = {
  "by its path": ({ path }) => [path("above/d"), path(script)],
  "by a relative path": ({ path }) => {
    const relative = (name: string) => Path.relative(process.cwd(), path(name))
    return [relative("above/d"), relative(script)]
  },
  "by a path with empty parts and dots": ({ path }) => [path("above/./d//"), path(`/./${script.replace("/", "//")}`)],
  "by a link that is the script directory": ({ link, path }) => {
    link("by-link/link", "../above/d")
    return [path("by-link/link"), path("by-link/link/container/start/10-script")]
  },
  "by a link in the middle of the script directory's path": ({ link, path }) => {
    link("by-link/link", path("above"))
    return [path("by-link/link/d"), path("by-link/link/d/container/start/10-script")]
  },
  "by .. after a link": ({ link, path }) => {
    link("by-link/link", "../above/d/container")
    return [path("by-link/link/.."), path("by-link/link/../container/start/10-script")]
  },
  "by a link that is the script": ({ folder, link, path }) => {
    folder("by-link/d/container")
    link("by-link/d/container/start", `../../../${script}`)
    return [path("by-link/d"), path("by-link/d/container/start")]
  },
  "by a link to a link, with ..": ({ link, path }) => {
    link("by-link/d/container/start", "../../links/./../links/one")
    link("by-link/links/one", path("by-link/links/../../above/../above/d/container/start"))
    return [path("by-link/d"), path("by-link/d/container/start/10-script")]
  }
}

for (const [way, go] of Object.entries(ways)) {
  describeRoot(`a script that is reached ${way}`, () => {
    test("is trusted if root owns the whole path, and if root's group may write to it", (files) => {
      files.file(script)
      const [directory, path] = go(files)
      assertTrusted(directory, path)
      for (const place of Object.values(places)) files.change(place, { mode: 0o775 })
      assertTrusted(directory, path)
    })

    for (const [damage, { access, command, reason }] of Object.entries(damages)) {
      test(`is refused if a part of the path ${damage}, until the command of the message is run`, (files) => {
        files.file(script)
        const [directory, path] = go(files)
        for (const place of Object.values(places)) {
          files.change(place, access)
          const refusal = assertRefused(directory, path, reason, files.path(place))
          assert.strictEqual(refusal.fix, `${command} ${files.path(place)} fixes it`)
          paste(refusal)
          assertTrusted(directory, path)
        }
      })
    }
  })
}

describeRoot("the command that fixes what is refused can be pasted, whatever the names are", () => {
  for (const name of [
    "two words",
    "it's",
    '"quoted"',
    "'; touch pasted; '",
    "$(touch pasted)",
    "`touch pasted`",
    "a&touch pasted",
    "a&b",
    "a;b",
    "a|b",
    "a>b",
    "a$b",
    "-rf",
    "~",
    "*",
    "#x",
    "back\\slash",
    "line\nbreak",
    "grün"
  ]) {
    test(JSON.stringify(name), (files) => {
      files.folder("empty")
      const inner = `above/${name}/d/container/start`
      files.file(inner)
      for (const { access, reason } of Object.values(damages)) {
        files.change(`above/${name}`, access)
        const names = files.path(`above/${name}`)
        paste(assertRefused(`${names}/d`, files.path(inner), reason, names), files.path("empty"))
        assertTrusted(`${names}/d`, files.path(inner))
      }
      assert.deepStrictEqual(Fs.readdirSync(files.path("empty")), [])
    })
  }

  test("names one problem after the other if there are several", (files) => {
    files.file("d/container/start", { uid: nobody, gid: nobody, mode: 0o777 })
    files.change("d", { uid: somebody, gid: somebody, mode: 0o1777 })
    const [directory, path] = [files.path("d"), files.path("d/container/start")]
    let commands = 0
    for (let result = check(directory, path); Either.isLeft(result); result = check(directory, path)) {
      paste(result.left)
      assert.isBelow(++commands, 10)
    }
    assert.strictEqual(commands, 6)
  })
})

describeRoot("links", () => {
  test("to an untrusted file are refused, with the name of the file", (files) => {
    files.file("d/container/start")
    files.file("elsewhere/script", { uid: nobody })
    files.link("d/container/die", "../../elsewhere/script")
    assertRefused(files.path("d"), files.path("d/container/die"), "Owner", files.path("elsewhere/script"))
    assertTrusted(files.path("d"), files.path("d/container/start"))
  })

  test("to a trusted file in an untrusted directory are refused, with the name of the directory", (files) => {
    files.file("elsewhere/inner/script")
    files.link("d/container/die", files.path("elsewhere/inner/script"))
    files.change("elsewhere", { mode: 0o777 })
    assertRefused(files.path("d"), files.path("d/container/die"), "WorldWritable", files.path("elsewhere"))
  })

  test("to a sticky file are refused, since the sticky bit protects only directories", (files) => {
    files.file("elsewhere/script", { mode: 0o1757 })
    files.link("d/container/die", "../../elsewhere/script")
    const [directory, path] = [files.path("d"), files.path("d/container/die")]
    paste(assertRefused(directory, path, "WorldWritable", files.path("elsewhere/script")))
    assertTrusted(directory, path)
  })

  test("in an untrusted directory are refused, wherever they lead", (files) => {
    files.file("d/container/start")
    files.link("elsewhere/link", files.path("d/container/start"))
    files.link("d/container/die", "../../elsewhere/link")
    files.change("elsewhere", { gid: nobody, mode: 0o775 })
    assertRefused(files.path("d"), files.path("d/container/die"), "GroupWritable", files.path("elsewhere"))
  })

  test("are followed before their .., as the kernel does", (files) => {
    // By the text of the path it would be d/container/start, which is trusted.
    files.file("d/container/start")
    files.file("theirs/d/container/start", { uid: nobody })
    files.folder("theirs/inner")
    files.link("link", "theirs/inner")
    const directory = files.path("link/../d")
    assertRefused(directory, `${directory}/container/start`, "Owner", files.path("theirs/d/container/start"))
  })

  test("of /proc that lead elsewhere than their text are refused", (files) => {
    files.file("elsewhere/script", { uid: nobody })
    const open = Fs.openSync(files.path("elsewhere/script"), "r")
    Fs.rmSync(files.path("elsewhere/script"))
    // What the link's text names from now on, while the kernel still opens what was removed.
    files.file("elsewhere/script (deleted)")
    files.link("d/container/start", `/proc/${process.pid}/fd/${open}`)
    const path = files.path("d/container/start")
    assert.strictEqual(Fs.statSync(path).uid, nobody)
    const result = check(files.path("d"), path)
    Fs.closeSync(open)
    assert.isTrue(Either.isLeft(result), `${path} is trusted`)
  })

  test("that form a circle, lead nowhere, or pass through a file are refused", (files) => {
    files.file("d/container/start")
    files.link("d/container/self", "self")
    files.link("d/container/there", "back")
    files.link("d/container/back", "there")
    files.link("d/container/dangling", "absent")
    files.link("d/container/through", "start/x")
    const refuse = (name: string, names = name) =>
      assertRefused(
        files.path("d"),
        files.path(`d/container/${name}`),
        "Unreadable",
        files.path(`d/container/${names}`)
      )
    assert.include(refuse("self").message, "too many links")
    assert.include(refuse("there").message, "too many links")
    assert.include(refuse("dangling").message, "ENOENT")
    assert.include(refuse("through").message, "ENOTDIR")
    assert.include(refuse("absent").message, "ENOENT")
    assert.include(refuse("nul\0").message, "null bytes")
    assert.include(assertRefused(files.path("no"), files.path("d"), "Unreadable", files.path("d")).message, "ENOENT")
  })

  test("are followed as often as the kernel follows them", (files) => {
    files.file("d/container/0")
    for (let at = 1; at <= 41; at++) files.link(`d/container/${at}`, String(at - 1))
    for (const [name, opens] of [
      ["40", true],
      ["41", false]
    ] as const) {
      const path = files.path(`d/container/${name}`)
      assert.strictEqual(Fs.existsSync(path), opens, name)
      if (opens) assertTrusted(files.path("d"), path)
      else assertRefused(files.path("d"), path, "Unreadable", files.path("d/container/1"))
    }
  })
})

describeRoot("a sticky directory that everybody can write to", () => {
  const sticky = { mode: 0o1777 }

  test("is trusted above the script directory", (files) => {
    files.file("sticky/inner/d/container/start")
    files.folder("sticky", sticky)
    assertTrusted(files.path("sticky/inner/d"), files.path("sticky/inner/d/container/start"))
  })

  test("is not trusted above it if it belongs to another user, who can replace its content", (files) => {
    files.file("sticky/d/container/start")
    files.folder("sticky", { ...sticky, uid: nobody })
    const [directory, path] = [files.path("sticky/d"), files.path("sticky/d/container/start")]
    paste(assertRefused(directory, path, "Owner", files.path("sticky")))
    assertTrusted(directory, path)
  })

  test("does not make the directory of another user a trusted script directory", (files) => {
    files.file("sticky/d/container/start")
    files.folder("sticky", sticky)
    files.change("sticky/d", { uid: somebody })
    assertRefused(files.path("sticky/d"), files.path("sticky/d/container/start"), "Owner", files.path("sticky/d"))
  })

  for (const [name, place] of [
    ["as the script directory", "d"],
    ["below the script directory", "d/container"],
    ["deep below the script directory", "d/container/start"]
  ] as const) {
    test(`is refused ${name}, until the command of the message is run`, (files) => {
      files.file("d/container/start/10-script")
      files.change(place, sticky)
      for (const directory of ["d", "link"]) {
        if (directory === "link") files.link("link", "d")
        files.change(place, sticky)
        const path = files.path(`${directory}/container/start/10-script`)
        paste(assertRefused(files.path(directory), path, "WorldWritable", files.path(place)))
        assertTrusted(files.path(directory), path)
      }
    })
  }

  test("is refused as the target of a link of the script directory", (files) => {
    files.file("sticky/script")
    files.link("d/container/start", "../../sticky/script")
    files.change("sticky", sticky)
    assertRefused(files.path("d"), files.path("d/container/start"), "WorldWritable", files.path("sticky"))
  })

  for (const [name, target] of [
    ["straight", "../../link"],
    ["by .. out of a directory in it", "../../inner/../link"],
    ["by its absolute path", "ABSOLUTE"]
  ] as const) {
    test(`may have links of other users; they are refused even if the target, reached ${name}, is trusted`, (files) => {
      files.file("d/container/start")
      files.folder("inner")
      files.link("link", "d/container/start", nobody)
      files.link("d/container/die", target === "ABSOLUTE" ? files.path("link") : target)
      files.change("", sticky)
      const [directory, path] = [files.path("d"), files.path("d/container/die")]
      const refusal = assertRefused(directory, path, "Link", files.path("link"))
      paste(refusal)
      assertTrusted(directory, path)
    })
  }

  for (const target of ["real/d", "../outside/d"]) {
    test(`may hold root's link to a script directory: ${target}`, (files) => {
      files.folder("sticky")
      files.file(`sticky/${target}/container/start`)
      files.link("sticky/d", target)
      files.change("sticky", sticky)
      assertTrusted(files.path("sticky/d"), files.path("sticky/d/container/start"))
    })
  }

  test("may hold another user's link to a script directory, which is refused", (files) => {
    files.file("sticky/real/d/container/start")
    files.link("sticky/d", "real/d", somebody)
    files.change("sticky", sticky)
    paste(assertRefused(files.path("sticky/d"), files.path("sticky/d/container/start"), "Link", files.path("sticky/d")))
    assertTrusted(files.path("sticky/d"), files.path("sticky/d/container/start"))
  })
})

describeRoot("without trust", () => {
  test("everything is trusted", (files) => {
    files.file("d/container/start", { uid: nobody, mode: 0o777 })
    return Effect.flatMap(Trust.Trust, (trust) => trust.check(files.path("d/container/start"))).pipe(
      Effect.provide(Trust.layerInsecure),
      Effect.orDie
    )
  })
})
