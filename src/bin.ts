#!/usr/bin/env node
import { setFlagsFromString } from "node:v8"
import * as NodeCommandExecutor from "@effect/platform-node/NodeCommandExecutor"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Cli from "./cli/Cli.ts"
import { runMain } from "./cli/Main.ts"

// Keeps V8's young generation small. A flood of events would make it grow, and it would never shrink again.
setFlagsFromString("--semi-space-growth-factor=1")

const MainLive = Layer.mergeAll(NodeCommandExecutor.layer, NodePath.layer, NodeTerminal.layer).pipe(
  Layer.provideMerge(NodeFileSystem.layer)
)

// Nobody reads spans of the program. Without this line, each statement of the journal would make one.
runMain((hurry) =>
  Effect.provide(Cli.run(process.argv.slice(2), hurry), MainLive).pipe(Effect.withTracerEnabled(false))
)
