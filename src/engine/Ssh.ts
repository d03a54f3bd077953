import { Duplex, PassThrough } from "node:stream"
import * as Command from "@effect/platform/Command"
import * as NodeSink from "@effect/platform-node/NodeSink"
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Endpoint } from "../endpoint/Endpoint.ts"

type SshEndpoint = Extract<Endpoint, { readonly _tag: "Ssh" }>

/** How much of what ssh says is kept, in characters. */
const longest = 1000

/** What ssh says of itself, and what to do about it. */
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
 * ssh ended without, or in the middle of, an answer: `Failed` with what it said, `NoSsh` where there is no ssh command.
 *
 * @since 1.0.0
 * @category errors
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

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/**
 * What ssh is called with, as the docker command does (docker/cli `cli/connhelper`). Nothing of the endpoint can become an
 * option: what stands before `--` is a value, and the host stands behind it.
 *
 * @since 1.0.0
 * @category combinators
 */
export const argumentsOf = (endpoint: SshEndpoint): ReadonlyArray<string> => [
  ...(endpoint.user === undefined ? [] : ["-l", endpoint.user]),
  ...(endpoint.port === undefined ? [] : ["-p", String(endpoint.port)]),
  ...["-o", "ConnectTimeout=30", "-T", "--", endpoint.host],
  // A shell of that host reads this.
  ...["docker", ...(endpoint.path === undefined ? [] : [quoted(`--host=unix://${endpoint.path}`)])],
  ...["system", "dial-stdio"]
]

/**
 * A connection to the engine beyond ssh: the input and output of the user's own ssh, with its keys, agent, known hosts and
 * configuration. It is ended with the scope; when it ends by itself, what it said is the connection's error.
 *
 * @since 1.0.0
 * @category constructors
 */
export const connect = Effect.fn("Ssh.connect")(function* (endpoint: SshEndpoint) {
  const outgoing = new PassThrough()
  const incoming = new PassThrough()
  const connection = Duplex.from({ writable: outgoing, readable: incoming })
  // Whoever uses it hears of its errors as well; without this one, nobody listening would end the process.
  connection.on("error", () => undefined)
  const ssh = yield* Effect.mapError(
    Command.start(Command.make("ssh", ...argumentsOf(endpoint))),
    (error) => new SshError({ reason: "NoSsh", detail: error.message })
  )
  // The command's own finalizer waits for it without limit.
  yield* Effect.addFinalizer(() =>
    Effect.interruptible(ssh.kill("SIGTERM")).pipe(
      Effect.timeout("2 seconds"),
      Effect.orElse(() => ssh.kill("SIGKILL")),
      Effect.ignore,
      Effect.whenEffect(Effect.orElseSucceed(ssh.isRunning, () => false))
    )
  )
  const cutOff = () => new SshError({ reason: "Failed", detail: "cut off" })
  // An ssh that has ended takes no request, and why it ended is the error to show.
  const requests = NodeStream.fromReadable(() => outgoing, cutOff, { closeOnDone: false })
  yield* Effect.forkScoped(Stream.run(requests, ssh.stdin))
  let said = ""
  const reading = yield* ssh.stderr.pipe(
    Stream.decodeText(),
    Stream.runForEach((text) =>
      Effect.sync(() => {
        if (said.length < longest) said += text
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
    // Another ssh, which this one left behind for connections to come (ControlPersist), can hold its output open.
    const aMoment = "500 millis"
    yield* Effect.raceFirst(Stream.run(received, answers), Effect.delay(ssh.exitCode, aMoment))
    const code = yield* ssh.exitCode
    if (code === 0) return incoming.end()
    yield* Effect.timeoutOption(Fiber.await(reading), aMoment)
    const detail = said
      .trim()
      .replaceAll(/\s*\n\s*/g, ", ")
      .slice(0, longest)
    return yield* new SshError({ reason: "Failed", detail: detail === "" ? `exit code ${code}` : detail })
  }).pipe(
    // In the middle of an answer HTTP knows no other error than its end.
    Effect.tapError((error) => (answered ? Effect.logWarning(error.message) : Effect.void)),
    Effect.catchAll((error) => Effect.sync(() => connection.destroy(error))),
    Effect.forkScoped
  )
  return connection
})
