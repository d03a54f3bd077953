import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { entries } from "../../src/event/EventCatalogue.ts"
import * as Findings from "../../src/scripts/Findings.ts"

const command = "#!/bin/sh\nexit 0\n"

interface File {
  readonly text?: string
  readonly isExecutable?: boolean
  readonly hasInterpreter?: boolean
}

/** A listing from paths: an executable script unless it is said otherwise; `null` is an empty directory. */
const listing = (files: Readonly<Record<string, File | null>>): ReadonlyArray<Findings.ListedFile> => {
  const names = new Set(Object.keys(files).map((path) => path.split("/")[0] ?? ""))
  return [...names].map((name): Findings.ListedFile => {
    const own = files[name]
    const below = Object.entries(files).filter(([path]) => path.startsWith(`${name}/`))
    if (own === null || below.length > 0) {
      const inner = Object.fromEntries(below.map(([path, file]) => [path.slice(name.length + 1), file]))
      return { kind: "directory", name, entries: listing(inner) }
    }
    const { hasInterpreter = true, isExecutable = true, text = command } = own ?? {}
    return { kind: "file", name, isExecutable, head: text, hasInterpreter }
  })
}

const look = (files: Readonly<Record<string, File | null>>): ReadonlyArray<string> =>
  Findings.look("/d", listing(files)).map(({ message }) => message)

describe("a script directory in which everything runs", () => {
  it("has no findings", () => {
    assert.deepStrictEqual(
      look({
        all: {},
        "container/all/10-a": {},
        "container/start": { text: "#!/bin/sh\n# des: timeout=3s\n# DES is described in des(1)\nexit\n" },
        "container/die/10-a": { text: "#!/bin/sh\n# des: stop-on-failure=yes\nexit\n" },
        "container/die/20_B": { text: "" },
        "des/gap": {},
        "pod/create": {},
        "container/stop": { text: "#!/bin/sh\r\n# Only comments: it is not started.\r\n" }
      }),
      []
    )
  })

  it("has no findings for any event that engines send today", () => {
    assert.deepStrictEqual(look(Object.fromEntries(entries.map(({ action, type }) => [`${type}/${action}`, {}]))), [])
  })

  it("has no findings for leftovers of editors and package managers, and for data", () => {
    const leftovers = [
      "10-a~",
      ".10-a.swp",
      "10-a.dpkg-old",
      "10-a.bak",
      ".git",
      "README",
      "README.md",
      "10-a.rpmsave",
      "#a#"
    ]
    const data = { text: "a=1\n", isExecutable: false }
    assert.deepStrictEqual(
      look({
        ...Object.fromEntries(leftovers.map((name) => [name, {}])),
        ...Object.fromEntries(leftovers.map((name) => [`container/${name}`, {}])),
        ...Object.fromEntries(leftovers.map((name) => [`container/start/${name}`, {}])),
        "functions.sh": data,
        "container/config.env": data,
        "container/start/hosts.template": data,
        "lib/functions": data,
        empty: null
      }),
      []
    )
  })
})

describe("a file that will never run is found, with advice what to do", () => {
  const names = "is not run, since names may hold letters, digits, - and _ only"
  it.each<readonly [string, File | null, string]>([
    ["container/start/10-a.sh", {}, `/d/container/start/10-a.sh ${names}; rename it to 10-a`],
    ["container/all/b.py", {}, `/d/container/all/b.py ${names}; rename it to b`],
    ["all/c.sh", {}, `/d/all/c.sh ${names}; rename it to c`],
    ["container/die.sh", { isExecutable: false }, `/d/container/die.sh ${names}; rename it to die`],
    [
      "container/health_status: healthy",
      {},
      `/d/container/health_status: healthy ${names}; rename it to health_status`
    ],
    ["all.sh", {}, `/d/all.sh ${names}; rename it to all`],
    [
      "volume/create",
      { text: "a=1", isExecutable: false },
      "/d/volume/create is not executable and is not run; chmod +x /d/volume/create makes it a script"
    ],
    [
      "container/die/10-a",
      { isExecutable: false },
      "/d/container/die/10-a is not executable and is not run; chmod +x /d/container/die/10-a makes it a script"
    ],
    [
      "container/start",
      { text: "#!/bin/sh\n# des: timeot=3s\nexit\n" },
      '/d/container/start is never run: line 2: "timeot=3s" is not an option; did you mean timeout=?'
    ],
    [
      "container/stop",
      { text: "#!/bin/sh\n# des: name=a label=x name=b\nexit\n" },
      "/d/container/stop is never run: no event meets both name=a and name=b"
    ],
    ["container/start/ü", {}, `/d/container/start/ü ${names}; rename it`],
    [
      "die.sh",
      {},
      "/d/die.sh is not run: scripts are /d/TYPE/ACTION; move it to /d/container/die, or make it not executable if it is not a script"
    ],
    [
      "notify",
      {},
      "/d/notify is not run: scripts are /d/TYPE/ACTION; move it to /d/TYPE/ACTION, or make it not executable if it is not a script"
    ],
    [
      "container",
      {},
      "/d/container is a file, so no script for events of the type container is found; move it into a directory of this name"
    ],
    [
      "containers/start",
      {},
      "/d/containers: no engine of today sends events of the type containers, so nothing in it is run; did you mean container?"
    ],
    ["tasks/start", {}, "/d/tasks: no engine of today sends events of the type tasks, so nothing in it is run"],
    [
      "container/started",
      {},
      "/d/container/started: no engine of today sends an event container/started, so this is not run; did you mean start?"
    ],
    [
      "container/remove",
      {},
      "/d/container/remove: no engine of today sends an event container/remove, so this is not run; did you mean destroy?"
    ],
    [
      "container/started/10-a",
      {},
      "/d/container/started: no engine of today sends an event container/started, so this is not run; did you mean start?"
    ],
    ["des/begin", {}, "/d/des/begin: no engine of today sends an event des/begin, so this is not run"],
    [
      "container/start",
      { text: "#!/bin/sh\r\necho\r\n" },
      "/d/container/start will not start: its first line ends with CR LF, as Windows writes lines; write it with LF, for example with sed -i 's/\\r$//' /d/container/start"
    ],
    [
      "container/start/10-a",
      { text: "#!/opt/ruby\nputs 1\n", hasInterpreter: false },
      "/d/container/start/10-a will not start: its interpreter /opt/ruby does not exist; install it, or correct the first line"
    ],
    [
      "container/start",
      { text: "#!/bin/sh\n# DES: timeout=3s\nexit\n" },
      "/d/container/start: line 2: this option is not read; write it as # des: NAME=VALUE, in a comment before the first command"
    ],
    [
      "all",
      { text: "#!/bin/sh\n#des timeout=3s\nexit\n" },
      "/d/all: line 2: this option is not read; write it as # des: NAME=VALUE, in a comment before the first command"
    ],
    [
      "container/start",
      { text: "#!/usr/bin/env node\n// des: timeout=3s\nrun()\n" },
      "/d/container/start: line 2: this option is not read; write it as # des: NAME=VALUE, in a comment before the first command"
    ],
    [
      "container/start",
      { text: "#!/bin/sh\n# des: stop-on-failure=yes\nexit\n" },
      "/d/container/start: stop-on-failure=yes has no effect, since this script is not in a directory of scripts; move it to /d/container/start/10-first, for example"
    ],
    [
      "container/start",
      { text: "#!/bin/sh\nset -eu\n# des: timeout=3s\n" },
      "/d/container/start: line 3: this option is not read, since it stands after the first command; move it to the comments at the beginning"
    ]
  ])("%s", (path, file, message) => {
    assert.deepStrictEqual(look({ [path]: file }), [message])
  })
})

it("a finding is one line that names its path, for any names", () => {
  const name = FastCheck.oneof(
    FastCheck.constantFrom("all", "all.sh", "container", "containers", "start", "start.sh", "README", "10-a"),
    FastCheck.string({ minLength: 1 }).filter((text) => !/[/\n]/.test(text))
  )
  const path = FastCheck.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"))
  FastCheck.assert(
    FastCheck.property(
      FastCheck.dictionary(path, FastCheck.constantFrom({}, null, { isExecutable: false })),
      (files) => {
        for (const { message, path } of Findings.look("/d", listing(files))) {
          assert.include(message, path)
          assert.isTrue(path.startsWith("/d/"))
        }
      }
    )
  )
})
