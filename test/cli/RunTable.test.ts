import { assert, describe, it } from "@effect/vitest"
import * as Results from "../../src/cli/Results.ts"
import * as RunTable from "../../src/cli/RunTable.ts"
import * as Table from "../../src/cli/Table.ts"
import type { History } from "../../src/state.ts"

const run: History.Run = {
  id: 7,
  engine: "unix:///var/run/docker.sock",
  type: "container",
  action: "health_status: unhealthy",
  actor: "467730e17a0a".padEnd(64, "0"),
  name: "web",
  timeNano: "1",
  script: "/etc/docker/events.d/container/health_status/10-restart",
  attempt: 2,
  began: 1_700_000_000_000,
  duration: 1234,
  outcome: "exited",
  exit: 0,
  output: ""
}

const began = Results.formatTime(run.began)

describe("a row of des history", () => {
  it("has all columns whole if nothing limits its width", () => {
    const table = RunTable.make(Table, Number.POSITIVE_INFINITY, false)
    assert.deepStrictEqual(table.rows([run]).join().split(/ {2,}/), [
      ...["7", began, "container/health_status", "467730e17a0a", "web", run.script, "2", "0", "1.23s"]
    ])
    assert.deepStrictEqual(table.head().split(/ {2,}/), [
      ...["RUN", "BEGAN", "EVENT", "ACTOR", "NAME", "SCRIPT", "ATTEMPT", "EXIT", "DURATION"]
    ])
  })

  it("has the whole time and exit code at every width from 60 columns, and is no wider", () => {
    for (let width = 60; width < 160; width++) {
      const table = RunTable.make(Table, width, false)
      const [row = ""] = table.rows([run])
      assert.isAtMost(Table.widthOf(row), width)
      assert.match(row, / 0( |$)/)
      const [later = ""] = table.rows([{ ...run, exit: null, outcome: "quarantined" }])
      assert.match(later, / quarantined( |$)/)
      for (const shown of [row, later]) assert.include(shown, began)
    }
  })

  it("shows at 80 columns the run, its time, the name, the end of the script's path, the exit code and the duration", () => {
    const table = RunTable.make(Table, 80, false)
    assert.deepStrictEqual(
      [...table.rows([run]), table.head()],
      [
        `7      ${began}  web       …/health_status/10-restart  0     1.23s`,
        "RUN    BEGAN                NAME      SCRIPT                      EXIT  DURATION"
      ]
    )
  })

  it("shows the ID of an actor without a name, also where there is no room for the column of IDs", () => {
    assert.include(
      RunTable.make(Table, 80, false)
        .rows([{ ...run, name: null }])
        .join(),
      "467730e17a0a"
    )
  })

  it("has the same columns on every page", () => {
    const table = RunTable.make(Table, 80, false)
    const head = table.head().split(/ +/)
    const [wide = ""] = table.rows([{ ...run, id: 123_456_789, name: "a name that is much longer than others" }])
    assert.isAtMost(Table.widthOf(wide), 80)
    assert.deepStrictEqual(table.head().split(/ +/), head)
  })
})
