import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as ScriptText from "../../src/scripts/ScriptText.ts"

describe("a script with nothing but comments", () => {
  it.each([
    "",
    "\n\n",
    "# only this",
    "#!/bin/sh",
    "#!/bin/sh\n# a\n\n  # b\n",
    "#!/bin/bash -eu\n# a\n",
    "#! /usr/bin/env dash\n#a",
    "#!/bin/sh\r\n# a\r\n\r\n"
  ])("is one without a command: %j", (text) => {
    assert.isTrue(ScriptText.isEmpty(text))
  })

  it.each([
    "exit",
    "#!/bin/sh\nexit",
    "#!/bin/sh\n: # a",
    "#!/bin/cat\n# its text is what it is for",
    "#!/usr/bin/awk -f\n# a",
    "#!/bin/sh -s\n# reads its commands from stdin",
    "#!\n# a",
    "\u007fELF",
    `#${"x".repeat(ScriptText.headBytes)}`
  ])("is not one that does something, or may: %j", (text) => {
    assert.isFalse(ScriptText.isEmpty(text))
  })

  it("is not empty if any line is a command", () => {
    const comment = FastCheck.constantFrom("# a", "", "  ", "\t# b", "#!")
    FastCheck.assert(
      FastCheck.property(FastCheck.array(comment), FastCheck.array(comment), (before, after) => {
        assert.isTrue(ScriptText.isEmpty(["#!/bin/sh", ...before, ...after].join("\n")))
        assert.isFalse(ScriptText.isEmpty(["#!/bin/sh", ...before, "exit # a", ...after].join("\n")))
      })
    )
  })
})
