import { Duplex, PassThrough } from "node:stream"
import * as Command from "@effect/platform/Command"
import * as NodeSink from "@effect/platform-node/NodeSink"
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import * as ShellWord from "../ShellWord.ts"
import { terminate } from "../Terminate.ts"

type SshEndpoint = Extract<Endpoint, { readonly _tag: "Ssh" }>

/** How many characters of ssh's stderr are kept. */
const longestReason = 1000

/** How long ssh may take to end after SIGTERM, before it gets SIGKILL. */
const grace = "2 seconds"

/** What to do when ssh fails, by the text on its stderr. */
const advice: ReadonlyArray<readonly [RegExp, string]> = [
  [/Host key verification failed/, "connect once with ssh as this user, and compare the key before you accept it"],
  [/REMOTE HOST IDENTIFICATION HAS CHANGED/, "the host has another key than before; find out why"],
  [
    /Permission denied/,
    "des runs ssh as this user, without a terminal: it needs a key that the host accepts, or an agent"
  ],
  [/docker: (?:command )?not found/, "the docker command must be on the path of that user there"],
  [/Could not resolve hostname/, "neither a host nor a name in ssh's configuration"],
  [
    /Cannot connect to the Docker daemon|permission denied.*docker/i,
    "ssh works; the docker command there reaches no engine"
  ]
]

/**
 * ssh failed.
 *
 * - `Failed`: ssh ended before the answer was complete. `detail` is its text on stderr.
 * - `NoSsh`: ssh could not be started.
 */
export class SshError extends Schema.TaggedError<SshError>()("SshError", {
  reason: Schema.Literal("Failed", "NoSsh"),
  detail: Schema.String
}) {
  override get message(): string {
    if (this.reason === "NoSsh") return `ssh cannot be started: ${this.detail}; install openssh-client`
    const known = advice.find(([said]) => said.test(this.detail))
    return known === undefined ? `ssh ended: ${this.detail}` : `ssh ended: ${this.detail}; ${known[1]}`
  }
}

/**
 * The arguments of ssh, the same ones as the docker command uses (docker/cli `cli/connhelper`). No part of the endpoint can become an
 * option: the user and the port are values of options, and the host comes after `--`.
 */
export const argumentsOf = (endpoint: SshEndpoint): ReadonlyArray<string> => [
  ...(endpoint.user === undefined ? [] : ["-l", endpoint.user]),
  ...(endpoint.port === undefined ? [] : ["-p", String(endpoint.port)]),
  ...["-o", "ConnectTimeout=30", "-T", "--", endpoint.host],
  // The shell of the other host reads this.
  ...["docker", ...(endpoint.path === undefined ? [] : [ShellWord.quote(`--host=unix://${endpoint.path}`)])],
  ...["system", "dial-stdio"]
]

/**
 * Makes a connection to an engine over the user's own ssh, with its keys, agent, known hosts and configuration. The connection is the
 * input and output of an ssh process. The process ends with the scope. If ssh ends by itself, its text on stderr is the error of the
 * connection.
 */
export const connect = Effect.fn("Ssh.connect")(function* (endpoint: SshEndpoint) {
  const outgoing = new PassThrough()
  const incoming = new PassThrough()
  const connection = Duplex.from({ writable: outgoing, readable: incoming })
  // The user of the connection handles its errors. This listener only keeps an early error from ending des.
  connection.on("error", () => undefined)
  const ssh = yield* Effect.mapError(
    Command.start(Command.make("ssh", ...argumentsOf(endpoint))),
    (error) => new SshError({ reason: "NoSsh", detail: error.message })
  )
  const isRunning = Effect.orElseSucceed(ssh.isRunning, () => false)
  // This runs before the command's own finalizer, which waits for the process without limit.
  yield* Effect.addFinalizer(() =>
    terminate({ signal: ssh.kill, isGone: Effect.negate(isRunning) }, grace).pipe(
      Effect.ignore,
      Effect.whenEffect(isRunning)
    )
  )
  const cutOff = () => new SshError({ reason: "Failed", detail: "cut off" })
  // A failed write is not shown. It means that ssh has ended, and the reason for that is shown.
  const requests = NodeStream.fromReadable(() => outgoing, cutOff, { closeOnDone: false })
  yield* Effect.forkScoped(Stream.run(requests, ssh.stdin))
  let said = ""
  const reading = yield* ssh.stderr.pipe(
    Stream.decodeText(),
    Stream.runForEach((text) =>
      Effect.sync(() => {
        if (said.length < longestReason) said += text
      })
    ),
    Effect.forkScoped
  )
  let answered = false
  const received = Stream.mapChunks(ssh.stdout, (bytes) => {
    answered = true
    return bytes
  })
  yield* Effect.gen(function* () {
    const answers = NodeSink.fromWritable(() => incoming, cutOff, { endOnDone: false })
    // ssh can leave a process behind for later connections (ControlPersist). That process keeps the output open.
    const aMoment = "500 millis"
    yield* Effect.raceFirst(Stream.run(received, answers), Effect.delay(ssh.exitCode, aMoment))
    const code = yield* ssh.exitCode
    if (code === 0) return incoming.end()
    yield* Effect.timeoutOption(Fiber.await(reading), aMoment)
    const detail = said
      .trim()
      .replaceAll(/\s*\n\s*/g, ", ")
      .slice(0, longestReason)
    return yield* new SshError({ reason: "Failed", detail: detail === "" ? `exit code ${code}` : detail })
  }).pipe(
    // HTTP cannot report an error in the middle of an answer, so the error is logged.
    Effect.tapError((error) => (answered ? Effect.logWarning(error.message) : Effect.void)),
    Effect.catchAll((error) => Effect.sync(() => connection.destroy(error))),
    Effect.forkScoped
  )
  return connection
})
