import type { Status } from "../../src/operate/Status.ts"

const now = Date.parse("2026-11-26T12:00:00Z")

/** A status with something of everything, in which each text that strangers or scripts can write is `text`. */
export const sampleStatus = (text: string): Status => {
  const run = {
    script: "/etc/docker/events.d/container/die",
    event: `container/die ${text}`,
    engine: "one",
    attempt: 1
  }
  const failed = {
    ...run,
    beganAt: now - 9000,
    endedAt: now - 8000,
    outcome: "exited",
    exit: 3,
    output: `a\n${text}\n`
  }
  return {
    version: "1.0.0",
    pid: 7,
    now,
    startedAt: now - 90_000_000,
    ready: false,
    reasons: [`the feed of two is not open: ${text}`],
    feeds: [
      { engine: "one", open: true, openedAt: now - 80_000, aliveAt: now - 2000, lastEventAt: now - 3000, opens: 2 },
      { engine: "two", open: false, why: text, opens: 0 }
    ],
    backlog: {
      events: 3,
      bytes: 5000,
      oldestAt: now - 61_000,
      waiting: { events: 2, bytes: 4000, oldestAt: now - 31_000 },
      running: { events: 1, bytes: 1000, oldestAt: now - 5000 },
      journalBytes: 300_000
    },
    running: [{ ...run, beganAt: now - 5000 }],
    runs: [failed, { ...failed, exit: 0 }, { ...failed, outcome: "timed out", exit: 124 }],
    failures: [failed, { ...failed, outcome: text, output: "" }],
    gaps: [{ engine: "one", reason: text, at: now - 4_000_000 }],
    eventsPerMinute: Array.from({ length: 60 }, (_, at) => (at * 7) % 31)
  }
}
