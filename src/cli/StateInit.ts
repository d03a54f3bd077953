import * as Args from "@effect/cli/Args"
import * as Effect from "effect/Effect"
import * as Arguments from "./Arguments.ts"
import * as CliCommand from "./CliCommand.ts"
import * as CliOption from "./CliOption.ts"
import { UsageError } from "./CommandError.ts"
import * as Results from "./Results.ts"
import * as State from "./State.ts"

/** The database that is made if `--state` names none. */
const usual = "postgresql://des@localhost/des"

/** `des state init --print`: the SQL of the role and the schema that a journal in PostgreSQL needs. */
export const stateInit = CliCommand.make({
  name: "state",
  summary: "Print the SQL that prepares a PostgreSQL for --state postgresql://…; it changes nothing itself",
  operands: { usage: "init", example: "init", completes: ["init"] },
  config: {
    state: CliOption.optional({
      name: "state",
      placeholder: "DIR",
      example: "postgresql://des@db.example.com/des",
      description: `the URL that every des will have (default: ${usual})`,
      parse: CliOption.anyText
    }),
    print: CliOption.flag({
      name: "print",
      description: "print the SQL; there is no other way, so that you see it first"
    }),
    operands: Args.text({ name: "init" }).pipe(
      Args.withDescription("what to do with the journal: init is the only word"),
      Args.map(Arguments.unquote),
      Args.repeated
    )
  },
  run: Effect.fnUntraced(function* (given) {
    if (given.operands.join(" ") !== "init" || !given.print) {
      return yield* new UsageError({
        message: "des state: expected des state init --print, with --state postgresql://USER@HOST/DATABASE"
      })
    }
    const { Conninfo, Role } = yield* State.loadFleet
    const url = given.state !== undefined && State.isUrl(given.state) ? given.state : usual
    const info = yield* State.databaseOf(Conninfo, url)
    yield* Results.print(Role.sqlOf(info)).pipe(Effect.catchAll(Results.untilUnread("the SQL")))
    return 0
  })
})
