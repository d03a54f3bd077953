/** How des answers who asks how it is: `--listen`, and the socket in the state directory. */

import { join } from "node:path"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import type * as Layer from "effect/Layer"
import packageJson from "../../package.json" with { type: "json" }
import type { Journal } from "../journal/Journal.ts"
import * as Address from "../operate/Address.ts"
import * as Listener from "../operate/Listener.ts"
import * as Operate from "../operate/Operate.ts"
import * as Recorder from "../operate/Recorder.ts"
import * as CliOption from "./CliOption.ts"
import { UsageError } from "./CommandError.ts"
import * as State from "./State.ts"

/** Parses a place to listen at. */
export const parseAddress = CliOption.expecting("HOST:PORT, such as 127.0.0.1:9475, or unix:PATH", Address.parse)

/** The options about listening. */
export const ofListening = {
  listen: CliOption.optional({
    name: "listen",
    placeholder: "ADDR",
    example: "127.0.0.1:9475",
    description:
      "answer HTTP at HOST:PORT or unix:PATH: a page at /, /metrics for Prometheus, /healthz, /readyz, /status (default: do not listen)",
    parse: parseAddress
  }),
  listenInsecure: CliOption.flag({
    name: "listen-insecure",
    description: "let --listen take connections from other hosts, without a password and not encrypted"
  })
}

/** The socket at which `des status` asks the des that uses a state directory. */
export const socketOf = (directory: string): string => join(directory, "des.sock")

/** How des is watched while it runs: `observed` remembers what the journal is told, and `during` answers. */
export interface Operated {
  readonly observed: <E, R>(journal: Layer.Layer<Journal, E, R>) => Layer.Layer<Journal, E, R>
  readonly during: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Listener.ListenError, R | Journal>
}

/** Nobody asks. */
const none: Operated = { observed: identity, during: identity }

const refuseOthers = (address: Address.Address) =>
  new UsageError({
    message: `--listen ${Address.format(address)}: other hosts could connect, and would read the output of scripts without a password, not encrypted. Listen at 127.0.0.1, with a proxy before it that asks for a password; or add --listen-insecure`
  })

/** Makes what answers, as the options say. */
export const make = (
  given: {
    readonly listen: Address.Address | undefined
    readonly listenInsecure: boolean
    readonly state: string | undefined
    readonly liveness: Duration.Duration
  },
  engines: ReadonlyArray<string>
): Effect.Effect<Operated, UsageError> =>
  Effect.gen(function* () {
    const { listen, listenInsecure, state } = given
    if (listen !== undefined && !listenInsecure && !Address.isLocal(listen)) return yield* refuseOthers(listen)
    // A journal in a database has no directory for a socket.
    const directory = state === undefined || State.isUrl(state) ? undefined : state
    if (listen === undefined && directory === undefined) return none
    let recorder: Recorder.Recorder | undefined

    const observed: Operated["observed"] = (journal) => {
      const { layer, recorder: made } = Recorder.recorded(journal)
      recorder = made
      return layer
    }

    const begin = Effect.gen(function* () {
      if (recorder === undefined) return
      const answers = yield* Operate.make({
        version: packageJson.version,
        engines,
        liveness: Duration.toMillis(given.liveness),
        recorder
      })
      if (directory !== undefined) {
        yield* Effect.catchAll(
          Listener.open({ address: { _tag: "Unix", path: socketOf(directory) }, answers }),
          ({ message }) => Effect.logWarning(`${message}; des status cannot ask this des`)
        )
      }
      if (listen === undefined) return
      yield* Effect.mapError(
        Listener.open({ address: listen, answers }),
        ({ message }) => new Listener.ListenError({ message: `--listen: ${message}` })
      )
      yield* Effect.logInfo(`listening at ${Address.format(listen)}`)
    })

    return { observed, during: (effect) => Effect.scoped(Effect.zipRight(begin, effect)) }
  })
