/**
 * A TCP proxy of this host that stands for a network: it can withhold what is sent, in one direction or in both, as a network does that drops
 * packets, and deliver it later, as TCP does when packets get through again. Run what uses it with the live clock (`it.scopedLive`).
 */

import * as Net from "node:net"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** Which way nothing gets through. The connections stay open, and nobody is told. */
export type Cut = "both" | "toServer" | "toClient"

/** A proxy that runs. */
export interface Proxy {
  readonly port: number
  /** Withholds from now on what is sent this way, also on new connections. */
  readonly cut: (which: Cut) => Effect.Effect<void>
  /** Delivers what was withheld, and everything that follows. */
  readonly heal: Effect.Effect<void>
  /** Resets all connections, as a router does that has forgotten them. New ones can be made. */
  readonly reset: Effect.Effect<void>
  /** How many connections there are now. */
  readonly connections: () => number
}

/** Starts a proxy before a port of 127.0.0.1, for the scope. */
export const proxy = (target: number): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.gen(function* () {
    const links = new Set<{ readonly client: Net.Socket; readonly server: Net.Socket }>()
    let withheld: Cut | undefined

    /** A socket that is paused does not say that its other end is gone: nor does a network that drops everything. */
    const flow = (from: Net.Socket, way: Cut) => {
      if (withheld === "both" || withheld === way) from.pause()
      else from.resume()
    }
    const update = () => {
      for (const { client, server } of links) {
        flow(client, "toServer")
        flow(server, "toClient")
      }
    }
    const listener = Net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
      const server = Net.connect({ port: target, host: "127.0.0.1", allowHalfOpen: true })
      const link = { client, server }
      links.add(link)
      const join = (from: Net.Socket, to: Net.Socket) => {
        from.on("data", (chunk: Buffer) => void to.write(chunk))
        from.on("end", () => void to.end())
        from.on("error", () => to.resetAndDestroy())
        from.on("close", () => links.delete(link))
      }
      join(client, server)
      join(server, client)
      flow(client, "toServer")
      flow(server, "toClient")
    })
    const drop = () => {
      for (const { client, server } of links) {
        client.resetAndDestroy()
        server.resetAndDestroy()
      }
    }
    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => {
        listener.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () =>
        Effect.async<void>((resume) => {
          listener.close(() => resume(Effect.void))
          drop()
        })
    )
    const address = listener.address()
    const set = (which: Cut | undefined) =>
      Effect.sync(() => {
        withheld = which
        update()
      })
    return {
      port: typeof address === "object" && address !== null ? address.port : 0,
      cut: set,
      heal: set(undefined),
      reset: Effect.sync(drop),
      connections: () => links.size
    }
  })
