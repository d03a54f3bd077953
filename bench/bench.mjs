// @ts-check
// Measures dist/bin.js against raw Node on the same work, in turn: `node bench/bench.mjs [--smoke] [FIGURE…]`.
// docs/benchmarks.md says what each figure is.
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { cpus, loadavg, tmpdir } from "node:os"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { now } from "./clock.mjs"
import { openJournal } from "./journal.mjs"
import { draw } from "./picture.mjs"
import { cpuTime, openDescriptors, residentMemory, startOwn, startSilent, stopAll } from "./processes.mjs"
import { figure, quantile, table } from "./report.mjs"
import { makeScripts } from "./scripts.mjs"

const file = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url))
const des = file("../dist/bin.js")
const results = file("results.json")
const picture = file("../docs/benchmarks.svg")
const python = "/usr/bin/python3"

const smoke = process.argv.includes("--smoke")
const asked = process.argv.slice(2).filter((argument) => !argument.startsWith("-"))

const counts = smoke
  ? {
      coldStart: { rounds: 2 },
      idle: { rounds: 1, settle: 500 },
      growth: { rounds: 1, settle: 500, before: 2000, after: 8000 },
      events: { rounds: 1, warmUp: 1000, count: 10_000 },
      runs: { rounds: 1, warmUp: 5, count: 20 },
      engines: { rounds: 1, many: 5, warmUp: 10, count: 20, interval: 20 },
      soak: { before: 20, after: 60, settle: 1500 },
      latency: { rounds: 1, warmUp: 5, count: 20, interval: 20 },
      accepted: { rounds: 1, warmUp: 100, count: 1000 },
      latencyOnDisk: { rounds: 1, warmUp: 5, count: 20, interval: 20 }
    }
  : {
      coldStart: { rounds: 41 },
      idle: { rounds: 5, settle: 3000 },
      growth: { rounds: 3, settle: 5000, before: 100_000, after: 900_000 },
      events: { rounds: 9, warmUp: 50_000, count: 200_000 },
      runs: { rounds: 9, warmUp: 50, count: 400 },
      engines: { rounds: 1, many: 100, warmUp: 100, count: 2000, interval: 10 },
      soak: { before: 10_000, after: 90_000, settle: 5000 },
      latency: { rounds: 5, warmUp: 50, count: 500, interval: 20 },
      accepted: { rounds: 5, warmUp: 2000, count: 20_000 },
      latencyOnDisk: { rounds: 5, warmUp: 50, count: 500, interval: 20 }
    }

const root = mkdtempSync(`${tmpdir()}/des-bench-`)
const socketPath = `${root}/engine.sock`
const scripts = makeScripts(root)
const engine = startOwn([file("engine.mjs"), socketPath])

/** The C program beside which runs are measured, if this machine can compile it. */
const limitProgram = (() => {
  const path = `${root}/limit`
  return spawnSync("cc", ["-O2", "-o", path, file("limit.c")]).status === 0 ? path : undefined
})()
if (limitProgram === undefined) process.stderr.write("no C compiler: the column of the limit is left out\n")

const hasOriginal = spawnSync(python, ["-c", "import docker"]).status === 0
if (!hasOriginal) process.stderr.write("no python3-docker: the figures beside the original are skipped\n")

/** What has no script here, in the mix that a container's life gives. */
const unheard = ["create", "attach", "start", "die", "destroy"]

/**
 * Rounds of all sides in turn, so that what else the machine does meets both.
 *
 * @template {string} Side
 * @template A
 * @param {ReadonlyArray<Side>} sides
 * @param {number} rounds
 * @param {(side: Side) => A | Promise<A>} measure
 */
const inTurn = async (sides, rounds, measure) => {
  const measured = /** @type {Record<Side, A[]>} */ (Object.fromEntries(sides.map((side) => [side, []])))
  for (let round = 0; round < rounds; round++) {
    for (const side of sides) measured[side].push(await measure(side))
  }
  return measured
}

/** @type {readonly ["raw", "des"]} */
const beside = ["raw", "des"]

/** What raw Node needed, for a figure. */
const raw = (/** @type {number[]} */ values) => ({ what: "raw Node", values })

const args = {
  des: [des, "-e", `unix://${socketPath}`, "-d", scripts.directory],
  raw: [file("raw.mjs"), "feed", socketPath, scripts.container],
  original: [file("original.py"), socketPath, scripts.directory]
}

/** Starts a reader of the feed, and waits until it has opened it. */
const startReader = async (/** @type {"raw" | "des" | "original"} */ side, /** @type {string[]} */ ...options) => {
  const reader = startSilent([...args[side], ...options], side === "original" ? python : undefined)
  await reader.whileRunning(engine.expect("open"))
  return reader
}

/** A state directory for one start of des. */
const newState = () => mkdtempSync(`${root}/state-`)

/**
 * Sends records and then one with a script. Gives the seconds from the first byte to that script's run.
 *
 * @param {import("./processes.mjs").Started} reader
 * @param {string[]} actions
 * @param {number} count
 */
const burst = async (reader, actions, count) => {
  engine.send({ kind: "burst", actions, count, last: "mark" })
  const [start = 0] = await reader.whileRunning(engine.expect("sent"))
  const [end = 0] = await reader.whileRunning(scripts.marks.take(1))
  return (end - start) / 1e9
}

const coldStart = async () => {
  const { rounds } = counts.coldStart
  const time = (/** @type {"raw" | "des"} */ side) => {
    const start = now()
    const { status } = spawnSync(process.execPath, side === "des" ? [des, "--version"] : ["-e", "0"])
    if (status !== 0) throw new Error(`${side} ended with ${status}`)
    return (now() - start) / 1e6
  }
  // The first reads the files from the disk.
  await inTurn(beside, 1, time)
  const measured = await inTurn(beside, rounds, time)
  return [
    figure({ name: "cold start", unit: "ms", des: measured.des, against: raw(measured.raw), of: "ratio", atMost: 2.4 })
  ]
}

const bare = () => startSilent(["-e", "setInterval(() => {}, 1e6)"])

const idle = async () => {
  const { rounds, settle } = counts.idle
  const measured = await inTurn(beside, rounds, async (side) => {
    const process = side === "des" ? await startReader("des") : bare()
    await sleep(settle)
    const memory = residentMemory(process.pid)
    await process.stop()
    return memory
  })
  return [
    figure({
      name: "resident memory, idle",
      unit: "MB",
      des: measured.des,
      against: raw(measured.raw),
      of: "ratio",
      atMost: 1.6
    })
  ]
}

const growth = async () => {
  const { after, before, rounds, settle } = counts.growth
  const memory = {
    raw: /** @type {number[]} */ ([]),
    before: /** @type {number[]} */ ([]),
    after: /** @type {number[]} */ ([])
  }
  for (let round = 0; round < rounds; round++) {
    const nothing = bare()
    const reader = await startReader("des")
    const send = async (/** @type {number} */ count) => {
      await burst(reader, unheard, count)
      await sleep(settle)
      return residentMemory(reader.pid)
    }
    memory.before.push(await send(before))
    memory.after.push(await send(after))
    memory.raw.push(residentMemory(nothing.pid))
    await Promise.all([nothing.stop(), reader.stop()])
  }
  const total = (before + after).toLocaleString("en")
  return [
    figure({
      name: `resident memory after ${total} events`,
      unit: "MB",
      des: memory.after,
      against: raw(memory.raw),
      of: "ratio",
      atMost: 1.8
    }),
    figure({
      name: "the same, against fewer",
      unit: "MB",
      des: memory.after,
      against: { what: `after ${before.toLocaleString("en")}`, values: memory.before },
      of: "ratio",
      // Two samples of a heap that does not grow differ by this much.
      atMost: 1.05
    })
  ]
}

const events = async () => {
  const { count, rounds, warmUp } = counts.events
  const measured = await inTurn(beside, rounds, async (side) => {
    const reader = await startReader(side)
    await burst(reader, unheard, warmUp)
    const seconds = await burst(reader, unheard, count)
    await reader.stop()
    return count / seconds
  })
  return [
    figure({
      name: "events without a script",
      unit: "1/s",
      des: measured.des,
      against: raw(measured.raw),
      of: "ratio",
      atLeast: 0.4
    })
  ]
}

/**
 * Runs of one program for a burst of events, so many at once.
 *
 * @param {string} name
 * @param {{ action: "true" | "shell" | "python", jobs: number, atLeast: number }} options
 */
const runsOf = async (name, { action, atLeast, jobs }) => {
  const { count, rounds, warmUp } = counts.runs
  const runLimit = (/** @type {number} */ number) => {
    const ran = spawnSync(limitProgram ?? "", [`${scripts.container}/${action}`, String(number), String(jobs)])
    if (ran.status !== 0) throw new Error(`limit.c ended with ${ran.status}`)
    return Number(ran.stdout)
  }
  const sides = /** @type {const} */ (["raw", "des", ...(limitProgram === undefined ? [] : ["limit"])])
  const measured = await inTurn(sides, rounds, async (side) => {
    if (side === "limit") return count / runLimit(count)
    if (side === "des") {
      const reader = await startReader("des", "--jobs", String(jobs))
      await burst(reader, [action], warmUp)
      const seconds = await burst(reader, [action], count)
      await reader.stop()
      return (count + 1) / seconds
    }
    const raw = startOwn([file("raw.mjs"), "runs", scripts.container])
    await raw.expect("listening")
    const take = async (/** @type {number} */ number) => {
      raw.send({ action, count: number, jobs })
      const [end = 0] = await raw.whileRunning(scripts.marks.take(1))
      const [start = 0] = await raw.expect("sent")
      return (end - start) / 1e9
    }
    await take(warmUp)
    const seconds = await take(count)
    await raw.stop()
    return (count + 1) / seconds
  })
  const { des: values = [], limit, raw: others = [] } = measured
  return figure({
    name,
    unit: "1/s",
    des: values,
    against: raw(others),
    limit: limit && { what: "C", values: limit },
    of: "ratio",
    atLeast
  })
}

const runs = async () => [
  await runsOf("runs of a tiny program", { action: "true", jobs: 1, atLeast: 1 }),
  await runsOf("runs of a tiny program, 4 jobs", { action: "true", jobs: 4, atLeast: 1 }),
  await runsOf("runs of a shell script", { action: "shell", jobs: 1, atLeast: 1 }),
  ...(existsSync(python) ? [await runsOf("runs of a Python script", { action: "python", jobs: 1, atLeast: 1 })] : [])
]

/** What the Python original needed, for a figure. */
const theOriginal = (/** @type {number[]} */ values) => ({ what: "the original", values })

/** @type {readonly ["original", "des"]} */
const besideOriginal = ["original", "des"]

const original = async () => {
  if (!hasOriginal) return []
  const { count, rounds, warmUp } = counts.runs
  const ran = await inTurn(besideOriginal, rounds, async (side) => {
    const reader = await startReader(side)
    await burst(reader, ["true"], warmUp)
    const seconds = await burst(reader, ["true"], count)
    await reader.stop()
    return (count + 1) / seconds
  })
  const times = await inTurn(besideOriginal, counts.latency.rounds, async (side) => {
    const reader = await startReader(side)
    const { p50 } = await paced(reader, counts.latency)
    await reader.stop()
    return p50
  })
  return [
    figure({
      name: "runs beside the original",
      unit: "1/s",
      des: ran.des,
      against: theOriginal(ran.original),
      of: "ratio",
      atLeast: 1.2
    }),
    figure({
      name: "the same beside the original, p50",
      unit: "ms",
      des: times.des,
      against: theOriginal(times.original),
      of: "ratio",
      atMost: 0.9
    })
  ]
}

const engines = async () => {
  const { count, interval, many, rounds, warmUp } = counts.engines
  const measured = await inTurn(["one", "many"], rounds, async (side) => {
    const sockets = Array.from({ length: side === "one" ? 1 : many }, (_, at) => `${root}/${side}-${at}.sock`)
    const stands = startOwn([file("engine.mjs"), ...sockets])
    await stands.expect("listening")
    const reader = startSilent([
      des,
      ...sockets.flatMap((path) => ["-e", `unix://${path}`]),
      "-d",
      scripts.directory,
      "--state",
      newState()
    ])
    for (const _ of sockets) await reader.whileRunning(stands.expect("open"))
    const send = async (/** @type {number} */ number) => {
      stands.send({ kind: "paced", actions: ["mark"], count: number, interval })
      await reader.whileRunning(stands.expect("sent"))
      await reader.whileRunning(scripts.marks.take(number))
    }
    await send(warmUp)
    const before = cpuTime(reader.pid)
    await send(count)
    const result = { cpu: (cpuTime(reader.pid) - before) / count, memory: residentMemory(reader.pid) }
    await reader.stop()
    await stands.stop()
    for (const path of sockets) rmSync(path, { force: true })
    return result
  })
  return [
    figure({
      name: `CPU time of a run, ${many} engines, --state`,
      unit: "ms",
      des: measured.many.map(({ cpu }) => cpu),
      against: { what: "one engine", values: measured.one.map(({ cpu }) => cpu) },
      of: "ratio",
      atMost: 1.3
    }),
    figure({
      name: `resident memory, ${many} engines, --state`,
      unit: "MB",
      des: measured.many.map(({ memory }) => memory),
      against: { what: "one engine", values: measured.one.map(({ memory }) => memory) },
      of: "value",
      atMost: 130
    })
  ]
}

/** Many runs of one process: neither its memory nor its descriptors may grow. */
const soak = async () => {
  const { after, before, settle } = counts.soak
  const reader = await startReader("des", "--jobs", "4")
  const send = async (/** @type {number} */ count) => {
    for (let left = count; left > 0; left -= 1000) await burst(reader, ["true"], Math.min(left, 1000))
    await sleep(settle)
    return { memory: residentMemory(reader.pid), descriptors: openDescriptors(reader.pid) }
  }
  const early = await send(before)
  const late = await send(after)
  await reader.stop()
  const [few, total] = [before, before + after].map((count) => count.toLocaleString("en"))
  return [
    figure({
      name: `resident memory after ${total} runs`,
      unit: "MB",
      des: [late.memory],
      against: { what: `after ${few}`, values: [early.memory] },
      of: "ratio",
      atMost: 1.05
    }),
    figure({
      name: `open descriptors after ${total} runs`,
      unit: "descriptors",
      des: [late.descriptors],
      against: { what: `after ${few}`, values: [early.descriptors] },
      of: "difference",
      atMost: 0
    })
  ]
}

/**
 * Records that come one by one, each to the script's run: in milliseconds.
 *
 * @param {import("./processes.mjs").Started} reader
 * @param {{ warmUp: number, count: number, interval: number }} counts
 */
const paced = async (reader, { count, interval, warmUp }) => {
  const take = async (/** @type {number} */ number) => {
    engine.send({ kind: "paced", actions: ["mark"], count: number, interval })
    const sent = await reader.whileRunning(engine.expect("sent"))
    const seen = await reader.whileRunning(scripts.marks.take(number))
    return seen.map((time, index) => (time - (sent[index] ?? 0)) / 1e6)
  }
  await take(warmUp)
  const times = await take(count)
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
}

const latency = async () => {
  const measured = await inTurn(beside, counts.latency.rounds, async (side) => {
    const reader = await startReader(side)
    const times = await paced(reader, counts.latency)
    await reader.stop()
    return times
  })
  const of = (/** @type {"p50" | "p99"} */ which, /** @type {number} */ atMost) =>
    figure({
      name: `record to running script, ${which}`,
      unit: "ms",
      des: measured.des.map((round) => round[which]),
      against: raw(measured.raw.map((round) => round[which])),
      of: "ratio",
      atMost
    })
  return [of("p50", 1), of("p99", 1.5)]
}

const accepted = async () => {
  const { count, rounds, warmUp } = counts.accepted
  const rates = []
  for (let round = 0; round < rounds; round++) {
    const state = newState()
    // The first event's script keeps all others waiting.
    const reader = await startReader("des", "--state", state, "--drain", "0")
    const journal = openJournal(state)
    const take = async (/** @type {number} */ total, /** @type {number} */ number) => {
      engine.send({ kind: "burst", actions: ["block"], count: number - 1, last: "block" })
      const [start = 0] = await reader.whileRunning(engine.expect("sent"))
      const end = await reader.whileRunning(journal.reaches(total))
      return (end - start) / 1e9
    }
    await take(warmUp, warmUp)
    rates.push(count / (await take(warmUp + count, count)))
    journal.close()
    await reader.stop()
  }
  return [figure({ name: "events accepted on disk", unit: "1/s", des: rates, of: "value", atLeast: 10_000 })]
}

const latencyOnDisk = async () => {
  const measured = await inTurn(["memory", "disk"], counts.latencyOnDisk.rounds, async (journal) => {
    const reader = await startReader("des", ...(journal === "disk" ? ["--state", newState()] : []))
    const times = await paced(reader, counts.latencyOnDisk)
    await reader.stop()
    return times.p50
  })
  return [
    figure({
      name: "record to running script with --state, p50",
      unit: "ms",
      des: measured.disk,
      against: { what: "in memory", values: measured.memory },
      of: "difference",
      atMost: 1
    })
  ]
}

const all = { coldStart, idle, growth, events, runs, original, latency, accepted, latencyOnDisk, engines, soak }

/** The figures of earlier calls that measured other figures. @type {(figures: import("./report.mjs").Figure[]) => import("./report.mjs").Figure[]} */
const earlier = (figures) => {
  if (asked.length === 0 || !existsSync(results)) return []
  /** @type {{ smoke: boolean, figures: import("./report.mjs").Figure[] }} */
  const kept = JSON.parse(readFileSync(results, "utf8"))
  return kept.smoke === smoke ? kept.figures.filter(({ name }) => figures.every((figure) => figure.name !== name)) : []
}

const main = async () => {
  await engine.expect("listening")
  /** @type {import("./report.mjs").Figure[]} */
  const figures = []
  const loadBefore = loadavg()[0] ?? 0
  for (const [name, measure] of Object.entries(all)) {
    if (asked.length > 0 && !asked.includes(name)) continue
    process.stderr.write(`measuring ${name}\n`)
    figures.push(...(await measure()))
  }
  const load = `load ${loadBefore.toFixed(1)} at the start`
  const machine = `${cpus()[0]?.model ?? "?"}, ${cpus().length} cores, Node ${process.version}, ${load}`
  const program = scripts.isStatic ? "busybox, static" : "the system's own, since there is no /bin/busybox"
  console.log(`${machine}; the tiny program is ${program}\n\n${table(figures)}`)
  const measured = { machine, program, smoke, figures: [...earlier(figures), ...figures] }
  writeFileSync(results, `${JSON.stringify(measured, undefined, 2)}\n`)
  const drawn = draw(measured)
  if (!smoke) writeFileSync(picture, drawn)
}

const tidyUp = async () => {
  await stopAll()
  scripts.marks.close()
  rmSync(root, { recursive: true, force: true })
}

for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) {
  process.on(signal, () => tidyUp().finally(() => process.exit(1)))
}

await main().finally(tidyUp)
