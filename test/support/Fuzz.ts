/**
 * Tests on whatever fast-check makes up, for a given time. `DES_FUZZ_SEED` is the seed of the first slice, so that what a failure names as its
 * seed brings it back at once; `DES_FUZZ_SECONDS` is the time for all tests of test/fuzz together.
 */

import { assert, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { beforeAll } from "vitest"
import { heapInUse } from "./Heap.ts"

/** How many files test/fuzz has: each takes its part of the time. */
const files = 2

const number = (name: string, otherwise: number): number => {
  const text = process.env[name]
  if (text === undefined || text === "") return otherwise
  const value = Number(text)
  if (!Number.isFinite(value)) throw new Error(`${name}=${text}: expected a number`)
  return value
}

const seed = number("DES_FUZZ_SEED", Date.now() % 2 ** 31)

/** In all, as `npm test` has it. */
const seconds = number("DES_FUZZ_SECONDS", 4)

/** How many inputs of one seed make a slice. Between two of them vitest hears that the test is alive. */
const slice = 50

/** What one input may take of the processor, in milliseconds. It is far from what inputs of this size need, also where a core is shared. */
const mostTime = 3_000

/** By how many bytes the memory that is in use may have grown at the end. */
const mostGrowth = 64 * 1024 * 1024

const processorTime = (): number => {
  const { system, user } = process.cpuUsage()
  return (system + user) / 1000
}

/** Makes the tests of one file, which share its part of the time. */
export const make = () => {
  let tests = 0
  beforeAll(() => console.info(`DES_FUZZ_SEED=${seed} DES_FUZZ_SECONDS=${seconds}`))

  /** Checks what holds for every input. That one takes too long is a failure like any other, and so is memory that is kept. */
  const fuzz = <A>(name: string, inputs: FastCheck.Arbitrary<A>, check: (input: A) => void | Promise<void>): void => {
    tests++
    it(
      name,
      async () => {
        const end = Date.now() + (seconds * 1000) / files / tests
        const heap = heapInUse()
        let count = 0
        const property = FastCheck.asyncProperty(inputs, async (input) => {
          const start = processorTime()
          await check(input)
          count++
          assert.isBelow(processorTime() - start, mostTime, "milliseconds of the processor for one input")
        })
        for (let at = 0; at === 0 || Date.now() < end; at++) {
          await FastCheck.assert(property, { seed: (seed + at) | 0, numRuns: slice })
          await new Promise((resolve) => setImmediate(resolve))
        }
        assert.isAbove(count, 0)
        assert.isBelow(heapInUse() - heap, mostGrowth, `bytes that are kept after ${count} inputs`)
      },
      seconds * 1000 + 120_000
    )
  }

  return fuzz
}

/** A change of some bytes. Places are parts of the whole from 0 to 1, since changes before it move them. */
export interface Mutation {
  readonly kind: "flip" | "insert" | "delete" | "duplicate" | "splice"
  readonly at: number
  readonly from: number
  readonly length: number
  readonly value: number
  readonly times: number
}

/** What means something to JSON, to HTTP and to a terminal, before all other bytes. */
const bytes = FastCheck.oneof(
  FastCheck.constantFrom(...Buffer.from('{}[]",:\\\n\r\u001e\0 0-.eE/\u001b\x7f')),
  FastCheck.integer({ min: 0, max: 255 })
)

const part = FastCheck.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })

/** A few changes of bytes. */
export const mutations: FastCheck.Arbitrary<ReadonlyArray<Mutation>> = FastCheck.array(
  FastCheck.record({
    kind: FastCheck.constantFrom("flip", "insert", "delete", "duplicate", "splice"),
    at: part,
    from: part,
    length: FastCheck.oneof(FastCheck.integer({ min: 1, max: 8 }), FastCheck.integer({ min: 1, max: 4096 })),
    value: bytes,
    times: FastCheck.oneof({ weight: 9, arbitrary: FastCheck.integer({ min: 1, max: 3 }) }, FastCheck.nat(20_000))
  }),
  { maxLength: 12 }
)

/** No input is larger, in bytes: des's own bounds lie beyond it and have tests of their own. */
const largest = 2 * 1024 * 1024

const mutateOnce = (input: Buffer, { at, from, kind, length, times, value }: Mutation): Buffer => {
  const start = Math.floor(at * input.length)
  const source = Math.floor(from * input.length)
  const put = (text: Buffer, end = start) => Buffer.concat([input.subarray(0, start), text, input.subarray(end)])
  const repeated = (text: Buffer) =>
    Buffer.concat(Array.from({ length: Math.min(times, Math.floor(largest / Math.max(1, text.length))) }, () => text))
  switch (kind) {
    case "flip":
      return put(Buffer.of((input[start] ?? 0) ^ (1 << (value % 8))), start + 1)
    case "insert":
      return put(repeated(Buffer.of(value)))
    case "delete":
      return put(Buffer.alloc(0), start + length)
    case "duplicate":
      return put(repeated(input.subarray(start, start + length)))
    case "splice":
      return put(input.subarray(source, source + length), start + length)
  }
}

/** Changes bytes, one change after the other. */
export const mutate = (input: Uint8Array, all: ReadonlyArray<Mutation>): Buffer =>
  all.reduce<Buffer>((changed, mutation) => mutateOnce(changed, mutation).subarray(0, largest), Buffer.from(input))

/** Where bytes are cut, as parts of the whole; none leaves them whole. */
export const cuts: FastCheck.Arbitrary<ReadonlyArray<number>> = FastCheck.oneof(
  FastCheck.constant([]),
  FastCheck.array(part, { maxLength: 40 })
)

/** The pieces of bytes that are cut there, as a socket could give them. */
export const cut = (input: Uint8Array, all: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const places = [0, ...all.map((at) => Math.floor(at * input.length)).sort((a, b) => a - b), input.length]
  return places.slice(1).map((end, at) => input.subarray(places[at], end))
}
