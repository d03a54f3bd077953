/**
 * The journal in PostgreSQL, which several des use. Loaded only if `--state` is a URL.
 */
export * as Client from "./journal/postgres/Client.ts"
export * as Conninfo from "./journal/postgres/Conninfo.ts"
export * as Failure from "./journal/postgres/Failure.ts"
export * as JournalPostgres from "./journal/postgres/JournalPostgres.ts"
export * as Role from "./journal/postgres/Role.ts"
export * as Schema from "./journal/postgres/Schema.ts"
export * as History from "./journal/sql/History.ts"
