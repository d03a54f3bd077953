import * as FastCheck from "effect/FastCheck"
import type { DockerEvent } from "../../src/event/DockerEvent.ts"
import { makeEvent } from "../../src/testing.ts"

const engine = "unix:///e"

/** Lives of a few containers of the engine `unix:///e`, with what is no record of an engine among them. */
export const anyEvents: FastCheck.Arbitrary<ReadonlyArray<DockerEvent>> = FastCheck.array(
  FastCheck.record({
    type: FastCheck.constantFrom("container", "container", "container", "image", "des"),
    action: FastCheck.constantFrom("start", "die", "destroy", "rename", "create"),
    id: FastCheck.constantFrom("a", "b", "c"),
    attributes: FastCheck.record({ name: FastCheck.constantFrom("x", "y") }),
    synthetic: FastCheck.boolean()
  }),
  { maxLength: 30 }
).map((all) =>
  all.map(({ synthetic, ...fields }, at) => ({
    ...makeEvent({ ...fields, timeNano: BigInt(1000 * at + 1) }),
    engine,
    synthetic
  }))
)
