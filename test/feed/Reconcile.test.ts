import { it } from "@effect/vitest"
import * as FC from "effect/FastCheck"
import { assert, describe } from "vitest"
import * as DockerEvent from "../../src/event/DockerEvent.ts"
import * as Belief from "../../src/feed/Belief.ts"
import * as Reconcile from "../../src/feed/Reconcile.ts"

const second = 1_000_000_000n

const container = (id: string, startedAt: number): Belief.Running => ({
  id,
  attributes: { name: id },
  startedAt: BigInt(startedAt) * second
})

const beliefOf = (...containers: ReadonlyArray<Belief.Running>): Belief.Belief =>
  new Map(containers.map((container) => [container.id, container]))

const event = (action: string, id: string, seconds: number) =>
  DockerEvent.make({
    type: "container",
    action,
    id,
    attributes: { name: id },
    timeNano: BigInt(Math.round(seconds * 1000)) * 1_000_000n
  })

const turns = (...events: ReadonlyArray<DockerEvent.DockerEvent>) =>
  events.flatMap((event) => Belief.turnOf(event) ?? [])

const tell = (missed: ReadonlyArray<Reconcile.Missed>) => missed.map(({ _tag, container }) => `${_tag} ${container.id}`)

describe("what was missed", () => {
  const cases: ReadonlyArray<
    readonly [what: string, input: Parameters<typeof Reconcile.compare>[0], missed: ReadonlyArray<string>]
  > = [
    ["nothing", { believed: beliefOf(container("a", 1)), pending: [], running: beliefOf(container("a", 1)) }, []],
    ["a death", { believed: beliefOf(container("a", 1)), pending: [], running: beliefOf() }, ["Died a"]],
    ["a start", { believed: beliefOf(), pending: [], running: beliefOf(container("a", 1)) }, ["Started a"]],
    [
      "a restart",
      { believed: beliefOf(container("a", 1)), pending: [], running: beliefOf(container("a", 9)) },
      ["Died a", "Started a"]
    ],
    [
      "nothing, where the start was noted before its event",
      {
        believed: beliefOf({ ...container("a", 1), startedAt: second + 900_000n }),
        pending: [],
        running: beliefOf(container("a", 1))
      },
      []
    ],
    [
      "a death, where the container was started anew since and that is to come",
      {
        believed: beliefOf(container("a", 1)),
        pending: turns(event("start", "a", 9)),
        running: beliefOf(container("a", 9))
      },
      ["Died a"]
    ],
    [
      "a death, where it was started and has died since, which is to come",
      {
        believed: beliefOf(container("a", 1)),
        pending: turns(event("start", "a", 9), event("die", "a", 10)),
        running: beliefOf()
      },
      ["Died a"]
    ],
    [
      "a death, where only its removal is to come",
      { believed: beliefOf(container("a", 1)), pending: turns(event("destroy", "a", 9)), running: beliefOf() },
      ["Died a"]
    ],
    [
      "nothing, where its death is to come",
      { believed: beliefOf(container("a", 1)), pending: turns(event("die", "a", 9)), running: beliefOf() },
      []
    ],
    [
      "nothing, where its start is to come",
      { believed: beliefOf(), pending: turns(event("start", "a", 9)), running: beliefOf(container("a", 9)) },
      []
    ],
    [
      "nothing, where the time of its start is not known",
      { believed: beliefOf(container("a", 1)), pending: [], running: beliefOf({ ...container("a", 0) }) },
      []
    ],
    [
      "deaths before starts",
      { believed: beliefOf(container("old", 1)), pending: [], running: beliefOf(container("new", 2)) },
      ["Died old", "Started new"]
    ]
  ]
  for (const [what, input, missed] of cases) {
    it(what, () => assert.deepStrictEqual(tell(Reconcile.compare(input)), missed))
  }

  const containers = FC.uniqueArray(
    FC.record({ id: FC.constantFrom(..."abcdefgh"), startedAt: FC.integer({ min: 1, max: 5 }) }),
    { selector: ({ id }) => id }
  ).map((all) => beliefOf(...all.map(({ id, startedAt }) => container(id, startedAt * 10))))

  it("makes of what is believed what runs", () =>
    FC.assert(
      FC.property(containers, containers, (believed, running) => {
        const belief = new Map(believed)
        for (const missed of Reconcile.compare({ believed, pending: [], running })) {
          const started = missed._tag === "Started"
          // No start of what is believed to run, no death of what is not.
          assert.strictEqual(belief.has(missed.container.id), !started)
          const told = event(
            started ? "start" : "die",
            missed.container.id,
            Number(missed.container.startedAt / second)
          )
          Belief.follow(belief, told)
        }
        assert.sameMembers([...belief.keys()], [...running.keys()])
        // Who was started later than believed was told so. A clock that was set back tells nothing.
        for (const [id, { startedAt }] of running) assert.isTrue((belief.get(id)?.startedAt ?? 0n) >= startedAt)
      })
    ))
})

describe("the twin of what was made up", () => {
  /** What is left of events after a start, or a death where there is none, was told. */
  const left = (startedAt: number | undefined, ...events: ReadonlyArray<DockerEvent.DockerEvent>) => {
    const twins: Reconcile.Twins = new Map([
      ["a", { startedAt: startedAt === undefined ? undefined : BigInt(startedAt) * second }]
    ])
    return events
      .filter((event) => !Reconcile.isTwin(twins, event))
      .map(({ Action, timeNano }) => `${Action} ${timeNano / second}`)
  }

  it("of a start is dropped, with all of the life before", () =>
    assert.deepStrictEqual(
      left(
        5,
        event("die", "a", 3),
        event("start", "a", 4),
        event("die", "a", 4.5),
        event("start", "a", 5.01),
        event("die", "a", 6),
        event("start", "a", 7)
      ),
      ["die 6", "start 7"]
    ))

  it("of a start that never comes is not awaited for ever", () =>
    assert.deepStrictEqual(left(5, event("die", "a", 6), event("start", "a", 7)), ["die 6", "start 7"]))

  it("of a start is no later start: the death between was lost", () => {
    assert.deepStrictEqual(left(5, event("start", "a", 30), event("die", "a", 40)), ["start 30", "die 40"])
    // An engine whose disk is slow tells late of what it noted.
    assert.deepStrictEqual(left(5, event("start", "a", 8), event("start", "a", 30)), ["start 30"])
  })

  it("of a death is dropped until it starts again", () =>
    assert.deepStrictEqual(
      left(
        undefined,
        event("kill", "a", 4),
        event("die", "a", 5),
        event("start", "a", 6),
        event("die", "a", 7),
        event("destroy", "a", 8)
      ),
      ["kill 4", "start 6", "die 7", "destroy 8"]
    ))

  it("is nobody else's", () => assert.deepStrictEqual(left(5, event("start", "b", 5)), ["start 5"]))
})

describe("what is believed to run", () => {
  const believed = (...events: ReadonlyArray<DockerEvent.DockerEvent>) => {
    const belief: Belief.Belief = new Map()
    for (const event of events) Belief.follow(belief, event)
    return [...belief.values()].map(({ attributes, startedAt }) => `${attributes["name"]} ${startedAt / second}`)
  }

  it("begins with a start and ends with a death or a removal, in the words of both engines", () => {
    assert.deepStrictEqual(believed(event("create", "a", 1)), [])
    assert.deepStrictEqual(believed(event("start", "a", 1), event("start", "b", 2)), ["a 1", "b 2"])
    for (const end of ["die", "died", "destroy", "remove"]) {
      assert.deepStrictEqual(believed(event("start", "a", 1), event(end, "a", 2)), [], end)
    }
    assert.deepStrictEqual(believed(event("start", "a", 1), event("kill", "a", 2), event("oom", "a", 2)), ["a 1"])
  })

  it("goes by its new name", () => {
    const renamed = DockerEvent.make({
      type: "container",
      action: "rename",
      id: "a",
      attributes: { name: "b", oldName: "/a" },
      timeNano: 2n * second
    })
    assert.deepStrictEqual(believed(event("start", "a", 1), renamed), ["b 1"])
  })
})
