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
  events.flatMap((event) => Belief.lifeEventOf(event) ?? [])

const tell = (missed: ReadonlyArray<Reconcile.MissedChange>) =>
  missed.map(({ _tag, container }) => `${_tag} ${container.id}`)

describe("comparing the believed containers with the running ones", () => {
  const cases: ReadonlyArray<
    readonly [what: string, input: Parameters<typeof Reconcile.compare>[0], missed: ReadonlyArray<string>]
  > = [
    [
      "finds nothing if both are the same",
      { believed: beliefOf(container("a", 1)), pending: [], running: beliefOf(container("a", 1)) },
      []
    ],
    [
      "finds a death if a container does not run any more",
      { believed: beliefOf(container("a", 1)), pending: [], running: beliefOf() },
      ["Died a"]
    ],
    [
      "finds a start if a new container runs",
      { believed: beliefOf(), pending: [], running: beliefOf(container("a", 1)) },
      ["Started a"]
    ],
    [
      "finds a death and a start if the container was started again",
      { believed: beliefOf(container("a", 1)), pending: [], running: beliefOf(container("a", 9)) },
      ["Died a", "Started a"]
    ],
    [
      "finds nothing if the engine noted the start a moment before its event",
      {
        believed: beliefOf({ ...container("a", 1), startedAt: second + 900_000n }),
        pending: [],
        running: beliefOf(container("a", 1))
      },
      []
    ],
    [
      "finds only the death if the event of the new start is still to come",
      {
        believed: beliefOf(container("a", 1)),
        pending: turns(event("start", "a", 9)),
        running: beliefOf(container("a", 9))
      },
      ["Died a"]
    ],
    [
      "finds only the first death if the events of a new start and death are still to come",
      {
        believed: beliefOf(container("a", 1)),
        pending: turns(event("start", "a", 9), event("die", "a", 10)),
        running: beliefOf()
      },
      ["Died a"]
    ],
    [
      "finds a death if only the event of the removal is still to come",
      { believed: beliefOf(container("a", 1)), pending: turns(event("destroy", "a", 9)), running: beliefOf() },
      ["Died a"]
    ],
    [
      "finds nothing if the event of the death is still to come",
      { believed: beliefOf(container("a", 1)), pending: turns(event("die", "a", 9)), running: beliefOf() },
      []
    ],
    [
      "finds nothing if the event of the start is still to come",
      { believed: beliefOf(), pending: turns(event("start", "a", 9)), running: beliefOf(container("a", 9)) },
      []
    ],
    [
      "finds nothing if the time of the start is not known",
      { believed: beliefOf(container("a", 1)), pending: [], running: beliefOf({ ...container("a", 0) }) },
      []
    ],
    [
      "gives deaths before starts",
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

  it("finds exactly the changes that turn the belief into the running containers", () =>
    FC.assert(
      FC.property(containers, containers, (believed, running) => {
        const belief = new Map(believed)
        for (const missed of Reconcile.compare({ believed, pending: [], running })) {
          const started = missed._tag === "Started"
          // A container that is believed to run gets no start. A container that is not gets no death.
          assert.strictEqual(belief.has(missed.container.id), !started)
          const told = event(
            started ? "start" : "die",
            missed.container.id,
            Number(missed.container.startedAt / second)
          )
          Belief.follow(belief, told)
        }
        assert.sameMembers([...belief.keys()], [...running.keys()])
        // A container that was started later than believed got a new start. A clock that was set back changes nothing.
        for (const [id, { startedAt }] of running) assert.isTrue((belief.get(id)?.startedAt ?? 0n) >= startedAt)
      })
    ))
})

describe("the real event of a synthetic one", () => {
  /** The events that are no duplicates of a synthetic start at `startedAt` (undefined: of a synthetic death). */
  const left = (startedAt: number | undefined, ...events: ReadonlyArray<DockerEvent.DockerEvent>) => {
    const expected: Reconcile.ExpectedDuplicates = new Map([
      ["a", { startedAt: startedAt === undefined ? undefined : BigInt(startedAt) * second }]
    ])
    return events
      .filter((event) => Reconcile.settle(expected, event) === "new")
      .map(({ Action, timeNano }) => `${Action} ${timeNano / second}`)
  }

  it("is dropped if it is the start, and so are all events before it", () =>
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

  it("is not expected any more after the next death", () =>
    assert.deepStrictEqual(left(5, event("die", "a", 6), event("start", "a", 7)), ["die 6", "start 7"]))

  it("is not a later start: that one runs, although the death in between was lost", () => {
    assert.deepStrictEqual(left(5, event("start", "a", 30), event("die", "a", 40)), ["start 30", "die 40"])
    // An engine with a slow disk sends the event late.
    assert.deepStrictEqual(left(5, event("start", "a", 8), event("start", "a", 30)), ["start 30"])
  })

  it("is dropped if it is a death, until the container starts again", () =>
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

  it("does not belong to another container", () => assert.deepStrictEqual(left(5, event("start", "b", 5)), ["start 5"]))
})

describe("a container that is believed to run", () => {
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

  it("has its new name after a rename", () => {
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
