import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Endpoint from "../../src/docker/Endpoint.ts"
import * as EndpointSearch from "../../src/docker/EndpointSearch.ts"
import { capturedLogs } from "../support/Logs.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "des-search-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true }))
)

const endpoint = (text: string): Endpoint.Endpoint => Either.getOrThrow(Endpoint.parse(text))

const find = (named: EndpointSearch.Named) => Effect.provide(EndpointSearch.find(named), NodeFileSystem.layer)

const hasDocker = (() => {
  try {
    execFileSync("docker", ["--version"], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
})()
