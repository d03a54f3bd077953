// @ts-check
// Measures a fleet on a private PostgreSQL of this machine: `node bench/fleet.mjs [--smoke] [FIGURE…]`, as root, after npm run build.
// docs/benchmarks.md says what each figure is.
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { loadavg, tmpdir } from "node:os"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { startOwn, stopAll } from "./processes.mjs"

const file = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url))
const des = file("../dist/bin.js")
const smoke = process.argv.includes("--smoke")
const asked = process.argv.slice(2).filter((argument) => !argument.startsWith("-"))
const counts = smoke
  ? { accepted: 2000, backlog: 2000, window: 3000, immediate: 200, takeovers: 1 }
  : { accepted: 50_000, backlog: 100_000, window: 30_000, immediate: 2000, takeovers: 5 }

const root = mkdtempSync(`${tmpdir()}/des-bench-fleet-`)
chmodSync(root, 0o755)
const socketPath = `${root}/engine.sock`
const port = 20_000 + (process.pid % 20_000)
const programs = readdirSync("/usr/lib/postgresql").map((version) => `/usr/lib/postgresql/${version}/bin`)
const program = (/** @type {string} */ name) => programs.map((dir) => `${dir}/${name}`).find(existsSync) ?? name

const user = {
  uid: Number(execFileSync("id", ["-u", "postgres"])),
  gid: Number(execFileSync("id", ["-g", "postgres"]))
}
const data = `${root}/data`
mkdirSync(data, { mode: 0o700 })
chownSync(data, user.uid, user.gid)
execFileSync(program("initdb"), ["-D", data, "-A", "trust", "-U", "postgres"], { ...user, cwd: "/", stdio: "ignore" })
const server = spawn(
  program("postgres"),
  [
    ...["-D", data, "-k", data, "-p", String(port), "-c", "listen_addresses=127.0.0.1"],
    ...["-c", "shared_preload_libraries=pg_stat_statements", "-c", "pg_stat_statements.track_utility=off"],
    ...["-c", "shared_buffers=256MB"]
  ],
  { ...user, cwd: "/", stdio: "ignore" }
)
const psql = (/** @type {string} */ sql, database = "postgres") =>
  execFileSync(
    "psql",
    ["-h", data, "-p", String(port), "-U", "postgres", "-XAtq", "-F", "\t", "-d", database, "-c", sql],
    {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"]
    }
  ).trim()

/** Waits until a check holds. @type {(what: string, check: () => boolean, every?: number) => Promise<void>} */
const until = async (what, check, every = 50) => {
  const end = Date.now() + 300_000
  while (!check()) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`)
    await sleep(every)
  }
}

const isUp = () => {
  try {
    return psql("SELECT 1") === "1"
  } catch {
    return false
  }
}

const scripts = `${root}/events.d`
mkdirSync(`${scripts}/container`, { recursive: true })
const script = (/** @type {string} */ name, /** @type {string} */ body) =>
  writeFileSync(`${scripts}/container/${name}`, `#!/bin/sh\n${body}\n`, { mode: 0o755 })

let databases = 0
const fresh = () => {
  const name = `fleet${++databases}`
  psql(`CREATE DATABASE ${name}`)
  return { name, url: `postgresql://postgres@127.0.0.1:${port}/${name}` }
}

/** @type {Set<import("node:child_process").ChildProcess>} */
const running = new Set()

/** Starts a node. @type {(name: string, url: string, ...args: string[]) => import("node:child_process").ChildProcess} */
const node = (name, url, ...args) => {
  const child = spawn(
    process.execPath,
    [
      des,
      "-d",
      scripts,
      "--state",
      url,
      "--node",
      name,
      "-e",
      `bench=unix://${socketPath}`,
      "--log-level",
      "error",
      ...args
    ],
    { stdio: ["ignore", "ignore", "inherit"], env: { PATH: process.env["PATH"] } }
  )
  running.add(child)
  child.once("exit", () => running.delete(child))
  return child
}
const end = async (
  /** @type {import("node:child_process").ChildProcess} */ child,
  /** @type {NodeJS.Signals} */ signal = "SIGTERM"
) => {
  const ended = once(child, "exit")
  child.kill(signal)
  await ended
}

const engine = startOwn([file("engine.mjs"), socketPath])
const report = (/** @type {string} */ line) => process.stdout.write(`${line} (load ${loadavg()[0]?.toFixed(1)})\n`)
const per = (/** @type {number} */ count, /** @type {number} */ millis) => Math.round((count / millis) * 1000)
const count = (/** @type {string} */ database, /** @type {string} */ where) =>
  Number(psql(`SELECT count(*) FROM event WHERE ${where}`, database))

/** Fills a journal with events that wait, through a node that only watches. Gives how many it accepted in a second. */
const fill = async (
  /** @type {{ name: string, url: string }} */ { name, url },
  /** @type {number} */ events,
  /** @type {string} */ action
) => {
  const watcher = node("watcher", url, "--watch-only")
  await engine.expect("open")
  const start = Date.now()
  engine.send({ kind: "burst", actions: [action], count: events - 1, last: action })
  await engine.expect("sent")
  await until("acceptance", () => count(name, "true") >= events)
  const rate = per(events, Date.now() - start)
  await end(watcher)
  return rate
}

const startCosts = () => {
  psql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
  psql("SELECT pg_stat_statements_reset()")
}

/** What the database did for each event, by statement. */
const costs = (/** @type {string} */ database, /** @type {number} */ events) =>
  psql(`SELECT calls, round(mean_exec_time::numeric, 3) || ' ms each', round((total_exec_time / ${events})::numeric, 3) || ' ms an event',
    left(regexp_replace(query, '\\s+', ' ', 'g'), 90) FROM pg_stat_statements JOIN pg_database ON oid = dbid
    WHERE datname = '${database}' AND query NOT LIKE '%count(*) FROM event%' ORDER BY total_exec_time DESC LIMIT 6`)

const figures = {
  accepted: async () => {
    script("mark", "exit 0")
    const database = fresh()
    startCosts()
    report(`accepted: ${await fill(database, counts.accepted, "mark")} events/s`)
    report(costs(database.name, counts.accepted))
  },

  /** Runs of a script of 0.2 s that waits, with a large backlog, by the number of nodes. */
  nodes: async () => {
    script("rest", "exec sleep 0.2")
    const database = fresh()
    const rate = await fill(database, counts.backlog, "rest")
    report(`accepted ${counts.backlog} events at ${rate} events/s`)
    psql("ANALYZE", database.name)
    for (const nodes of [1, 2, 3]) {
      const all = Array.from({ length: nodes }, (_, at) => node(`n${at}`, database.url, "--run-only", "--jobs", "4"))
      const first = count(database.name, "state <> 'waiting'")
      await until("runs", () => count(database.name, "state <> 'waiting'") > first + 20 * nodes)
      const [before, from] = [count(database.name, "state <> 'waiting'"), Date.now()]
      await sleep(counts.window)
      const done = count(database.name, "state <> 'waiting'") - before
      report(
        `${nodes} nodes, 4 jobs each, sleep 0.2, ${counts.backlog} events: ${((done / (Date.now() - from)) * 1000).toFixed(1)} runs/s`
      )
      await Promise.all(all.map((child) => end(child)))
    }
  },

  /** Runs of a script that ends at once, and what its statements cost. */
  immediate: async () => {
    script("true", "exit 0")
    for (const nodes of [1, 2, 3]) {
      const database = fresh()
      await fill(database, counts.immediate, "true")
      startCosts()
      const start = psql("SELECT pg_current_wal_lsn()")
      const all = Array.from({ length: nodes }, (_, at) => node(`n${at}`, database.url, "--run-only", "--jobs", "4"))
      await until("a first run", () => count(database.name, "state <> 'waiting'") > 0, 10)
      const [before, from] = [count(database.name, "state <> 'waiting'"), Date.now()]
      await until("all runs", () => count(database.name, "state = 'waiting'") === 0)
      report(`${nodes} nodes, immediate: ${per(counts.immediate - before, Date.now() - from)} runs/s`)
      await Promise.all(all.map((child) => end(child)))
      const wal = Number(psql(`SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '${start}')`))
      report(`  WAL: ${Math.round(wal / counts.immediate)} bytes an event`)
      report(costs(database.name, counts.immediate))
    }
  },

  /** From the death of a node to the first run and the first accepted event of another one. */
  takeover: async () => {
    script("slow", "exec sleep 60")
    script("mark", "exit 0")
    for (let round = 0; round < counts.takeovers; round++) {
      const database = fresh()
      const first = node("first", database.url, "--jobs", "4")
      await engine.expect("open")
      const feeds = () =>
        psql("SELECT coalesce((SELECT name FROM node WHERE id = feed.node), '') FROM feed", database.name)
      engine.send({ kind: "burst", actions: ["slow"], count: 3, last: "slow" })
      await engine.expect("sent")
      await until("its runs", () => Number(psql("SELECT count(*) FROM run WHERE pid IS NOT NULL", database.name)) === 4)
      const second = node("second", database.url, "--jobs", "4")
      await sleep(3000)
      const killed = Date.now()
      await end(first, "SIGKILL")
      let feedAfter = 0
      let runAfter = 0
      await until(
        "the takeover",
        () => {
          if (feedAfter === 0 && feeds() === "second") feedAfter = Date.now() - killed
          const begun = Number(
            psql("SELECT count(*) FROM run WHERE node = 'second' AND pid IS NOT NULL", database.name)
          )
          if (runAfter === 0 && begun > 0) runAfter = Date.now() - killed
          return feedAfter > 0 && runAfter > 0
        },
        10
      )
      await engine.expect("open")
      report(`takeover after kill -9: the feed after ${feedAfter} ms, the first run after ${runAfter} ms`)
      await end(second, "SIGKILL")
      await sleep(2500)
    }
  }
}

try {
  await until("PostgreSQL", isUp)
  await engine.expect("listening")
  for (const [name, measure] of Object.entries(figures)) {
    if (asked.length === 0 || asked.includes(name)) await measure()
  }
} finally {
  await Promise.all([...running].map((child) => end(child, "SIGKILL")))
  await stopAll()
  const ended = once(server, "exit")
  server.kill("SIGINT")
  await ended
  rmSync(root, { recursive: true, force: true })
}
