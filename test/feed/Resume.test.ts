import { assert, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { describe } from "vitest"
import * as DockerEvent from "../../src/event/DockerEvent.ts"
import * as Fingerprint from "../../src/event/Fingerprint.ts"
import type * as RecordHead from "../../src/event/RecordHead.ts"
import * as Engine29 from "../support/Engine29.ts"
import { connect, follow, makeMemory } from "../support/Following.ts"
import { poll } from "../support/Poll.ts"
import * as StandInEngine from "../support/StandInEngine.ts"

/** An hour ago, so that it is over when des comes. */
const epoch = (BigInt(Date.now()) - 3_600_000n) * 1_000_000n

/** The record of a container whose id is its name, so many seconds after the epoch. */
const record = (action: string, name: string, seconds: number, more: Readonly<Record<string, string>> = {}): string =>
  DockerEvent.make({
    type: "container",
    action,
    id: name,
    attributes: { ...more, image: "nginx", name },
    timeNano: epoch + BigInt(Math.round(seconds * 1000)) * 1_000_000n
  }).record

const at = (seconds: number): string => new Date(Number(epoch / 1_000_000n) + seconds * 1000).toISOString()

const running = (name: string, seconds: number): StandInEngine.StandInContainer => ({
  image: "nginx",
  name,
  labels: { role: name },
  running: true,
  startedAt: at(seconds)
})

const many = (count: number, from: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => record("exec_die", "busy", from + index / 1000))

const openAgain = (engine: StandInEngine.StandInEngine, body: Effect.Effect<void> = Effect.void) =>
  Effect.gen(function* () {
    yield* engine.cut
    yield* body
  })

/** The answer of an engine at which `late.emit` happens after des has read the ring and before it has opened the feed. */
const makeLate = () => {
  const late: { emit: Effect.Effect<void> } = { emit: Effect.void }
  const ring: StandInEngine.Answer = (response) =>
    Effect.zipRight(
      StandInEngine.feed([], "end")(response),
      Effect.suspend(() => late.emit)
    )
  return { late, ring }
}

const test = (name: string, body: Effect.Effect<unknown, never, Scope.Scope>) => it.scopedLive(name, () => body)

describe("the first connection", () => {
  test(
    "runs no event from before, and loses none between the replay and the first byte of the feed",
    Effect.gen(function* () {
      const { late, ring } = makeLate()
      const engine = yield* StandInEngine.make({ ring })
      late.emit = engine.emit(record("start", "between", 100))
      yield* engine.emit(record("start", "over", 1), ...many(20, 2))
      const des = yield* follow(engine.endpoint)
      yield* des.until("container/start between")
      yield* engine.emit(record("start", "after", 101))
      yield* des.until("container/start after")
      assert.deepStrictEqual(des.told(), ["des/connected", "container/start between", "container/start after"])
    })
  )

  for (const isBroken of [false, true]) {
    const what = isBroken ? "breaks off and then stalls" : "stalls, as behind a proxy that never ends it"
    test(
      `runs no event from before if the engine's answer ${what}, also after a restart of des`,
      Effect.gen(function* () {
        let asked = 0
        const engine = yield* StandInEngine.make({
          ring: (response) =>
            Effect.suspend(() => {
              response.writeHead(200, { "Content-Type": "application/json" })
              response.write(`${record("start", "over", 1)}\n${record("die", "over", 2).slice(0, 50)}`)
              return isBroken && asked++ === 0 ? Effect.sync(() => response.socket?.destroy()) : Effect.never
            })
        })
        engine.state.containers.set("web", running("web", 1))
        const memory = makeMemory()
        const now = (Date.now() + 60_000 - Number(epoch / 1_000_000n)) / 1000
        yield* engine.emit(record("start", "over", 1), record("die", "over", 2), record("start", "web", 3))
        yield* Effect.scoped(
          Effect.gen(function* () {
            const des = yield* follow(engine.endpoint, { memory })
            yield* des.until("des/connected")
            yield* engine.emit(record("die", "web", now))
            yield* des.until("container/die web")
            assert.deepStrictEqual(des.told(), ["des/connected", "container/die web"])
          })
        )
        yield* engine.emit(record("start", "later", now + 1))
        const des = yield* follow(engine.endpoint, { memory })
        yield* des.until("container/start later")
        assert.deepStrictEqual(des.told(), ["des/connected", "container/start later"])
      })
    )
  }

  test(
    "believes the running containers, and emits one start for each if asked to",
    Effect.gen(function* () {
      for (const sync of [false, true]) {
        const engine = yield* StandInEngine.make({})
        engine.state.containers.set("web", running("web", 1))
        engine.state.containers.set("gone", { ...running("gone", 1), running: false })
        const des = yield* follow(engine.endpoint, { sync })
        yield* des.until("des/connected")
        // Its start was on its way when it was listed.
        if (sync) yield* engine.emit(record("start", "web", 1.01))
        yield* engine.emit(record("die", "web", 2), record("start", "web", 3))
        yield* des.until("container/start web")
        assert.deepStrictEqual(des.told(), [
          "des/connected",
          ...(sync ? ["container/start web*"] : []),
          "container/die web",
          "container/start web"
        ])
        if (!sync) continue
        const [, start] = des.events
        assert.deepStrictEqual(start?.Actor, { ID: "web", Attributes: { role: "web", image: "nginx", name: "web" } })
        assert.strictEqual(start?.timeNano, epoch + 1_000_000_000n)
      }
    })
  )

  test(
    "skips a record that claims to be des's own, and logs that once, also when it is replayed",
    Effect.gen(function* () {
      const { des, engine } = yield* connect()
      const forged = DockerEvent.make({ type: "des", action: "gap", id: "x", attributes: {}, timeNano: epoch }).record
      yield* engine.emit(forged, record("start", "web", 1))
      yield* des.until("container/start web")
      yield* openAgain(engine, engine.emit(record("start", "other", 2)))
      yield* des.until("container/start other")
      assert.deepStrictEqual(des.told(), ["des/connected", "container/start web", "container/start other"])
      assert.lengthOf(
        des.logs.filter((line) => line.includes("the type des is reserved")),
        1
      )
    })
  )
})

describe("a feed that is opened again", () => {
  test(
    "emits each event of the meantime once, in spite of equal times and duplicates",
    Effect.gen(function* () {
      const { des, engine } = yield* connect()
      yield* engine.emit(record("create", "a", 5), record("create", "b", 4))
      yield* des.until("container/create b")
      // Older than what came already: dockerd takes the time before it takes the lock.
      yield* openAgain(
        engine,
        engine.emit(record("create", "c", 3), record("create", "d", 6), record("create", "e", 1))
      )
      yield* des.until("container/create e")
      // From the ring and live, as where it was appended and published in the same moment.
      yield* engine.send(record("create", "e", 1), record("create", "a", 5))
      yield* engine.emit(record("create", "f", 2))
      yield* des.until("container/create f")
      assert.deepStrictEqual(
        des.told(),
        ["des/connected", ..."abcdef"].map((name) => (name.length === 1 ? `container/create ${name}` : name))
      )
      assert.lengthOf(des.logs, 1, "a feed that is open again at once is no news")
    })
  )

  test(
    "emits des/disconnected and des/connected if the engine was away",
    Effect.gen(function* () {
      const { des, engine } = yield* connect({}, { liveness: "500 millis" })
      yield* engine.emit(record("create", "a", 1))
      yield* des.until("container/create a")
      engine.state.isMute = true
      yield* des.until("WARN no engine can be reached")
      engine.state.isMute = false
      yield* poll(
        Effect.sync(() => des.told().filter((event) => event === "des/connected").length === 2),
        20_000
      )
      assert.deepStrictEqual(
        des.told().map((event) => event.split(" ")[0]),
        ["des/connected", "container/create", "des/disconnected", "des/connected"]
      )
      const [connected, , disconnected] = des.events
      const { engine: name, ...attributes } = connected?.Actor.Attributes ?? {}
      assert.deepStrictEqual(attributes, { kind: "docker", version: "", api: "1.41" })
      assert.strictEqual(name, connected?.Actor.ID)
      assert.match(disconnected?.Actor.Attributes["reason"] ?? "", /^no engine can be reached at /)
    })
  )
})

describe("a gap", () => {
  const gapOf = (following: { readonly events: ReadonlyArray<DockerEvent.DockerEvent> }) =>
    following.events.find(({ Action }) => Action === "gap")?.Actor.Attributes ?? {}

  test(
    "is reported when more happened than the engine keeps, and is reconciled before the next events",
    Effect.gen(function* () {
      const engine = yield* StandInEngine.make({})
      engine.state.containers.set("stays", running("stays", 0))
      const des = yield* follow(engine.endpoint)
      yield* des.until("des/connected")
      yield* engine.emit(record("start", "dies", 1), record("start", "goes", 2), record("start", "turns", 3))
      yield* des.until("container/start turns")
      const before = des.events.length
      yield* openAgain(
        engine,
        Effect.sync(() => {
          const { containers } = engine.state
          containers.set("dies", { ...running("dies", 0.99), running: false, exitCode: 7, finishedAt: at(50) })
          containers.set("turns", { ...running("turns", 51), finishedAt: at(50.5) })
          containers.set("comes", running("comes", 52))
        })
      )
      yield* engine.emit(...many(256, 60))
      const last = `container/exec_die busy`
      yield* des.until(last)
      yield* poll(
        Effect.sync(() => des.told().filter((event) => event === last).length === 256),
        5_000
      )
      const told = des.told().slice(before)
      assert.deepStrictEqual(told.slice(0, 7), [
        "des/gap overrun",
        "container/die dies*",
        "container/die turns*",
        // Gone: nobody knows when, so at the latest.
        "container/die goes*",
        "container/start turns*",
        "container/start comes*",
        last
      ])
      assert.lengthOf(told, 6 + 256)
      const [, dies, turns, goes] = des.events.slice(before)
      assert.deepStrictEqual(dies?.Actor.Attributes, { role: "dies", image: "nginx", name: "dies", exitCode: "7" })
      assert.strictEqual(dies?.timeNano, epoch + 50_000_000_000n)
      assert.notProperty(turns?.Actor.Attributes, "exitCode")
      assert.deepStrictEqual(goes?.Actor.Attributes, { image: "nginx", name: "goes" })
      const { from, reason, to } = gapOf(des)
      assert.strictEqual(reason, "overrun")
      assert.strictEqual(from, String(epoch + 3_000_000_000n))
      assert.isAbove(Number(to), Number(from))
      assert.lengthOf(
        des.logs.filter((line) => line.startsWith("WARN Gap 1 in the feed of ")),
        1
      )
      // Once healed the feed goes on where it is.
      yield* openAgain(engine, engine.emit(record("start", "next", 70)))
      yield* des.until("container/start next")
      assert.lengthOf(
        des.told().filter((event) => event.startsWith("des/gap")),
        1
      )
    })
  )

  test(
    "is reported when the engine was restarted, and its own events are not repeated as synthetic ones",
    Effect.gen(function* () {
      const { des, engine } = yield* connect()
      for (const name of ["stays", "dies", "back"]) {
        engine.state.containers.set(name, running(name, 1))
        yield* engine.emit(record("start", name, 1.01))
      }
      yield* des.until("container/start back")
      const before = des.events.length
      yield* openAgain(
        engine,
        Effect.sync(() => {
          engine.state.records = [record("start", "back", 60.01)]
          engine.state.containers.set("back", running("back", 60))
          engine.state.containers.set("dies", {
            ...running("dies", 1),
            running: false,
            exitCode: 1,
            finishedAt: at(50)
          })
        })
      )
      yield* des.until("container/start back")
      yield* engine.emit(record("die", "stays", 70))
      yield* des.until("container/die stays")
      assert.deepStrictEqual(des.told().slice(before), [
        "des/gap restart",
        "container/die dies*",
        // Its start was in the ring; its end before that is what nobody told.
        "container/die back*",
        "container/start back",
        "container/die stays"
      ])
    })
  )

  test(
    "is reported when another engine answers, whose earlier events do not run",
    Effect.gen(function* () {
      const { des, engine } = yield* connect()
      yield* engine.emit(record("start", "old", 1))
      yield* des.until("container/start old")
      yield* openAgain(
        engine,
        Effect.sync(() => {
          engine.state.id = "ANOTHER"
          engine.state.records = [record("start", "new", 2), record("start", "short", 3), record("die", "short", 4)]
          engine.state.containers.set("new", running("new", 2))
        })
      )
      yield* des.until("container/start new*")
      yield* engine.emit(record("die", "new", 80))
      yield* des.until("container/die new")
      assert.deepStrictEqual(des.told().slice(2), [
        "des/gap other-engine",
        "container/die old*",
        "container/start new*",
        "container/die new"
      ])
    })
  )

  test(
    "is reported when the ring is overrun after des has read it and before the feed is open",
    Effect.gen(function* () {
      const { late, ring } = makeLate()
      const { des, engine } = yield* connect({ ring })
      yield* engine.emit(record("start", "lost", 1))
      yield* des.until("container/start lost")
      late.emit = engine.emit(...many(300, 60))
      yield* engine.cut
      yield* des.until("des/gap overrun")
      late.emit = Effect.void
      const told = des.told()
      assert.deepStrictEqual(told.slice(2, 4), ["des/gap overrun", "container/die lost*"])
      yield* poll(
        Effect.sync(() => des.told().length === 4 + 256),
        5_000
      )
      assert.lengthOf(des.told(), 4 + 256)
    })
  )

  test(
    "is not reported when the engine's answer stalls before a known record and the feed brings that record",
    Effect.gen(function* () {
      const engine = yield* StandInEngine.make({
        ring: (response) =>
          Effect.suspend(() => {
            response.writeHead(200, { "Content-Type": "application/json" }).flushHeaders()
            return Effect.never
          })
      })
      const des = yield* follow(engine.endpoint)
      yield* des.until("des/connected")
      const now = (Date.now() + 60_000 - Number(epoch / 1_000_000n)) / 1000
      yield* engine.emit(...Array.from({ length: 20 }, (_, at) => record("start", `known ${at}`, now + at)))
      yield* des.until("container/start known 19")
      yield* openAgain(engine, engine.emit(record("start", "next", now + 30)))
      yield* des.until("container/start next")
      assert.lengthOf(des.told(), 22)
      assert.notInclude(des.told(), "des/gap restart")
    })
  )

  test(
    "is reported once, though the connection to the idle engine is cut again and again",
    Effect.gen(function* () {
      const { des, engine } = yield* connect()
      yield* engine.emit(record("create", "web", 1))
      yield* des.until("container/create web")
      engine.state.records = []
      yield* engine.cut
      yield* des.until("des/gap restart")
      for (const _ of [1, 2, 3]) {
        const before = (yield* engine.requests).length
        yield* engine.cut
        const isOpen = Effect.zipWith(
          engine.requests,
          engine.feeds,
          (requests, feeds) => requests.length > before && feeds === 1
        )
        assert.isTrue(yield* poll(isOpen, 10_000))
      }
      yield* engine.emit(record("create", "after", 2))
      yield* des.until("container/create after")
      assert.deepStrictEqual(des.told(), [
        "des/connected",
        "container/create web",
        "des/gap restart",
        "container/create after"
      ])
    })
  )

  test(
    "is counted across restarts of des if there is a memory",
    Effect.gen(function* () {
      const engine = yield* StandInEngine.make({})
      const memory = makeMemory()
      for (const count of ["0", "1", "2"]) {
        yield* engine.emit(record("start", `known ${count}`, 1 + Number(count)))
        yield* Effect.scoped(
          Effect.gen(function* () {
            const des = yield* follow(engine.endpoint, { memory })
            yield* des.until(count === "0" ? "des/connected" : "des/gap restart")
            yield* engine.emit(record("start", `last ${count}`, 50))
            yield* des.until(`container/start last ${count}`)
            if (count !== "0") assert.strictEqual(gapOf(des)["count"], count)
          })
        )
        engine.state.records = []
      }
    })
  )

  test(
    "is reported only if the containers differ, with no remembered records",
    Effect.gen(function* () {
      const engine = yield* StandInEngine.make({})
      engine.state.containers.set("web", running("web", 1))
      const des = yield* follow(engine.endpoint)
      yield* des.until("des/connected")
      // Cut again with nothing changed, and then with a change.
      yield* openAgain(engine)
      yield* poll(
        Effect.map(
          engine.requests,
          (asked) => asked.filter(({ path }) => path.endsWith("/events?since=0")).length === 2
        ),
        10_000
      )
      assert.deepStrictEqual(des.told(), ["des/connected"])
      yield* poll(
        Effect.map(engine.feeds, (open) => open === 1),
        5_000
      )
      engine.state.containers.delete("web")
      yield* openAgain(engine)
      yield* des.until("container/die web*")
      assert.deepStrictEqual(des.told(), ["des/connected", "des/gap restart", "container/die web*"])
    })
  )

  test(
    "is reported also behind a proxy that hides the containers",
    Effect.gen(function* () {
      const forbidden = StandInEngine.reply(403, {}, "<h1>Forbidden</h1>")
      const { des, engine } = yield* connect({ info: forbidden, list: forbidden })
      yield* engine.emit(record("start", "web", 1))
      yield* des.until("container/start web")
      yield* openAgain(
        engine,
        Effect.sync(() => {
          engine.state.records = []
        })
      )
      yield* des.until("des/gap restart")
      yield* engine.emit(record("die", "web", 2))
      yield* des.until("container/die web")
      assert.deepStrictEqual(des.told(), [
        "des/connected",
        "container/start web",
        "des/gap restart",
        "container/die web"
      ])
    })
  )
})

describe("a restart of des with a memory", () => {
  test(
    "runs the events of the meantime, and none that was over or has run",
    Effect.gen(function* () {
      const engine = yield* StandInEngine.make({})
      const memory = makeMemory()
      yield* engine.emit(record("start", "over", 1), ...many(20, 2))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const des = yield* follow(engine.endpoint, { memory })
          yield* des.until("des/connected")
          yield* engine.emit(record("start", "seen", 30))
          yield* des.until("container/start seen")
        })
      )
      yield* engine.emit(record("die", "seen", 31), record("start", "away", 29))
      const des = yield* follow(engine.endpoint, { memory })
      yield* des.until("container/start away")
      assert.deepStrictEqual(des.told(), ["des/connected", "container/die seen", "container/start away"])
    })
  )

  for (const podman of [false, true]) {
    /** podman 6 orders the fields of the same file otherwise. */
    const rewrite = (text: string) => {
      if (!podman) return Engine29.asOlderApi(text)
      const { Action, Actor, Type, scope, time } = JSON.parse(text)
      return `${JSON.stringify({ Action, Actor, Type, scope, time }).slice(0, -1)},${/"timeNano":\d+}/.exec(text)?.[0]}`
    }
    const now = podman ? 3_700 : 30

    test(
      `recognises records that ${podman ? "another podman" : "another version of the API"} writes differently`,
      Effect.gen(function* () {
        const engine = yield* StandInEngine.make({ podman })
        const memory = makeMemory()
        yield* engine.emit(record("start", "over", 1), ...many(20, 2))
        yield* Effect.scoped(
          Effect.gen(function* () {
            const des = yield* follow(engine.endpoint, { memory })
            yield* des.until("des/connected")
            yield* engine.emit(record("start", "seen", now), record("die", "seen", now + 0.1))
            yield* des.until("container/die seen")
          })
        )
        engine.state.records = engine.state.records.map(rewrite)
        yield* engine.emit(record("start", "away", now + 0.2))
        const des = yield* follow(engine.endpoint, { memory })
        yield* des.until("container/start away")
        assert.deepStrictEqual(des.told(), ["des/connected", "container/start away"])
      })
    )

    test(
      `recognises records that an earlier des knew by their text${podman ? ", of podman" : ""}, later also in another form`,
      Effect.gen(function* () {
        const engine = yield* StandInEngine.make({ podman })
        const texts = [record("start", "seen", now), record("die", "seen", now + 0.1)]
        yield* engine.emit(record("start", "over", 1), ...texts)
        const memory = makeMemory({
          identity: podman ? "podman stand-in" : engine.state.id,
          fingerprints: engine.state.records.map(Fingerprint.ofText),
          last: epoch + BigInt(now * 1000 + 100) * 1_000_000n,
          over: 0n,
          gaps: 0,
          running: []
        })
        const session = (name: string) =>
          Effect.scoped(
            Effect.gen(function* () {
              yield* engine.emit(record("start", name, now + 0.2))
              const des = yield* follow(engine.endpoint, { memory })
              yield* des.until(`container/start ${name}`)
              assert.deepStrictEqual(des.told(), ["des/connected", `container/start ${name}`])
            })
          )
        yield* session("first")
        engine.state.records = engine.state.records.map(rewrite)
        yield* session("second")
        assert.strictEqual(memory.recollection().fingerprints.filter(Fingerprint.isOfText).length, podman ? 1 : 0)
      })
    )
  }

  test(
    "reconciles a gap once, since the memory has its synthetic events",
    Effect.gen(function* () {
      const engine = yield* StandInEngine.make({})
      const memory = makeMemory()
      const session = (told: ReadonlyArray<string>) =>
        Effect.scoped(
          Effect.gen(function* () {
            const des = yield* follow(engine.endpoint, { memory })
            yield* des.until(told.at(-1) ?? "")
            yield* poll(
              Effect.map(engine.feeds, (open) => open === 1),
              5_000
            )
            assert.deepStrictEqual(des.told(), told)
          })
        )
      yield* session(["des/connected"])
      assert.isDefined(memory.recollection().identity)
      engine.state.containers.set("web", running("web", 1))
      engine.state.records = many(256, 10)
      yield* session([
        "des/connected",
        "des/gap overrun",
        "container/start web*",
        ...many(256, 10).map(() => "container/exec_die busy")
      ])
      // The start that it was told of before comes late.
      yield* engine.emit(record("start", "web", 1.01), record("exec_die", "last", 90))
      yield* session(["des/connected", "container/exec_die last"])
    })
  )
})

describe("podman's feed", () => {
  const since = (engine: StandInEngine.StandInEngine) =>
    Effect.map(engine.requests, (asked) =>
      asked.flatMap(({ path }) => /\/events\?since=(\d+)\.(\d{9})$/.exec(path)?.slice(1, 3).join("") ?? [])
    )

  test(
    "begins now, and continues from a second before the last record",
    Effect.gen(function* () {
      const engine = yield* StandInEngine.make({ podman: true })
      const before = BigInt(Date.now()) * 1_000_000n
      yield* engine.emit(record("start", "over", 1))
      const des = yield* follow(engine.endpoint)
      yield* des.until("des/connected")
      const now = 3_700
      yield* engine.emit(record("start", "a", now), record("start", "b", now + 0.1))
      yield* des.until("container/start b")
      yield* engine.cut
      // Within the second that is asked for again, and older than the last.
      yield* engine.emit(record("start", "c", now - 0.5), record("start", "d", now + 10))
      yield* des.until("container/start d")
      assert.deepStrictEqual(
        des.told(),
        ["des/connected", ..."abcd"].map((name) => (name.length === 1 ? `container/start ${name}` : name))
      )
      const [first = "", second = ""] = yield* since(engine)
      assert.isTrue(BigInt(first) >= before)
      assert.strictEqual(second, String(epoch + BigInt(now) * 1_000_000_000n + 100_000_000n - 1_000_000_000n))
    })
  )

  test(
    "runs nothing from before the first connection, also when the second that is asked for again began earlier",
    Effect.gen(function* () {
      const engine = yield* StandInEngine.make({ podman: true })
      // A refresh ends all containers, so a late one would do more harm than a run.
      const refresh = (timeNano: bigint) =>
        DockerEvent.make({ type: "system", action: "refresh", id: "", attributes: { name: "" }, timeNano }).record
      yield* engine.emit(refresh(BigInt(Date.now() - 200) * 1_000_000n))
      const des = yield* follow(engine.endpoint)
      yield* des.until("des/connected")
      const now = (Date.now() - Number(epoch / 1_000_000n)) / 1_000
      yield* engine.emit(record("start", "web", now))
      yield* des.until("container/start web")
      yield* engine.cut
      yield* engine.emit(record("start", "db", now + 1))
      yield* des.until("container/start db")
      assert.deepStrictEqual(des.told(), ["des/connected", "container/start web", "container/start db"])
    })
  )

  test(
    "has a gap when its file was rotated and the last record is gone",
    Effect.gen(function* () {
      const { des, engine } = yield* connect({ podman: true })
      yield* engine.emit(record("start", "web", 3_700))
      yield* des.until("container/start web")
      yield* openAgain(
        engine,
        Effect.sync(() => {
          engine.state.records = [record("start", "new", 3_800)]
          engine.state.containers.set("new", running("new", 3_799.99))
        })
      )
      yield* des.until("container/start new")
      assert.deepStrictEqual(des.told(), [
        "des/connected",
        "container/start web",
        "des/gap overrun",
        "container/die web*",
        "container/start new"
      ])
    })
  )

  test(
    "brings a death for each running container when the host was restarted",
    Effect.gen(function* () {
      const engine = yield* StandInEngine.make({ podman: true })
      const memory = makeMemory()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const des = yield* follow(engine.endpoint, { memory })
          yield* des.until("des/connected")
          yield* engine.emit(record("start", "web", 3_700, { containerExitCode: "0" }), record("start", "db", 3_701))
          yield* des.until("container/start db")
        })
      )
      // Their deaths were written by nobody; podman finds out when it runs for the first time again.
      const refresh = DockerEvent.make({
        type: "system",
        action: "refresh",
        id: "",
        attributes: { name: "" },
        timeNano: epoch + 3_800n * 1_000_000_000n
      }).record
      yield* engine.emit(refresh, record("start", "web", 3_801))
      const des = yield* follow(engine.endpoint, { memory })
      yield* des.until("container/start web")
      assert.deepStrictEqual(des.told(), [
        "des/connected",
        "system/refresh",
        "container/die web*",
        "container/die db*",
        "container/start web"
      ])
      const [death] = des.events.filter(({ synthetic }) => synthetic)
      assert.deepStrictEqual(death?.Actor.Attributes, { image: "nginx", name: "web" })
      assert.strictEqual(death?.timeNano, epoch + 3_800n * 1_000_000_000n)
    })
  )

  test(
    "counts as open before podman answers, since 5.2 answers only with its first event",
    Effect.gen(function* () {
      const first = yield* Deferred.make<void>()
      const happened = record("start", "web", 3_700)
      const { des } = yield* connect({
        podman: true,
        events: () => (response) =>
          Effect.zipRight(Deferred.await(first), StandInEngine.feed([`${happened}\n`], "stay")(response))
      })
      yield* Deferred.succeed(first, undefined)
      yield* des.until("container/start web")
      assert.deepStrictEqual(des.told(), ["des/connected", "container/start web"])
    })
  )
})

describe("a feed that is silent", () => {
  test(
    "since a proxy drops its bytes is noticed within two intervals, and no event is lost",
    Effect.gen(function* () {
      for (const podman of [false, true]) {
        const { des, engine } = yield* connect({ podman }, { liveness: "3 seconds" })
        // podman's feed begins now.
        const now = podman ? 3_700 : 1
        yield* engine.emit(record("start", "a", now))
        yield* des.until("container/start a")
        engine.state.swallows = true
        const swallowed = Date.now()
        yield* engine.emit(record("start", "b", now + 1))
        yield* des.until("container/start b")
        // Twice the interval, and the time for a new connection on a busy machine.
        assert.isBelow(Date.now() - swallowed, 6_000 + 4_000)
        assert.deepStrictEqual(des.told(), ["des/connected", "container/start a", "container/start b"])
        assert.lengthOf(
          des.logs.filter((line) => /^WARN the feed of .* has stalled: /.test(line)),
          1
        )
      }
    })
  )

  test(
    "and from which large records of an actor were left out stays open, and loses none that were replayed before",
    Effect.gen(function* () {
      const engine = yield* StandInEngine.make({})
      const lost: Array<string> = []
      const { accept, memory, recollection } = makeMemory()
      const unwanted: RecordHead.Unwanted = {
        has: ({ Actor }) => Actor.ID === "a",
        lose: ({ Actor }) => Effect.sync(() => void lost.push(Actor.ID))
      }
      const large = (at: number) => record("start", "a", at, { label: "x".repeat(200_000) })
      yield* engine.emit(large(1))
      const des = yield* follow(engine.endpoint, {
        liveness: "500 millis",
        memory: { accept, recollection, memory: { ...memory, unwanted } }
      })
      yield* des.until("des/connected")
      yield* engine.emit(large(2), record("start", "b", 3))
      yield* des.until("container/start b")
      const proofs = Effect.map(engine.requests, (asked) => asked.filter(({ path }) => path.endsWith("/info")).length)
      assert.isTrue(
        yield* poll(
          Effect.map(proofs, (count) => count >= 4),
          10_000
        )
      )
      assert.strictEqual(yield* engine.feeds, 1)
      assert.deepStrictEqual(lost, ["a"])
      assert.deepStrictEqual(des.told(), ["des/connected", "container/start b"])
    })
  )

  test(
    "since nothing happens stays open",
    Effect.gen(function* () {
      for (const podman of [false, true]) {
        const { des, engine } = yield* connect({ podman }, { liveness: podman ? "1 second" : "500 millis" })
        yield* engine.emit(record("start", "a", podman ? 3_700 : 1))
        yield* des.until("container/start a")
        const proofs = Effect.map(engine.requests, (asked) => asked.filter(({ path }) => path.endsWith("/info")).length)
        assert.isTrue(
          yield* poll(
            Effect.map(proofs, (count) => count >= 4),
            10_000
          )
        )
        assert.strictEqual(yield* engine.feeds, podman ? yield* engine.feeds : 1)
        assert.deepStrictEqual(des.told(), ["des/connected", "container/start a"])
        assert.lengthOf(des.logs, 1)
      }
    })
  )
})

test(
  "a feed closes its connection when nobody reads it any more",
  Effect.gen(function* () {
    const engine = yield* StandInEngine.make({})
    const fiber = yield* Effect.fork(Effect.scoped(Effect.zipRight(follow(engine.endpoint), Effect.never)))
    yield* poll(
      Effect.map(engine.feeds, (open) => open === 1),
      5_000
    )
    yield* Fiber.interrupt(fiber)
    assert.isTrue(
      yield* poll(
        Effect.map(engine.connections, (open) => open === 0),
        5_000
      )
    )
  })
)
