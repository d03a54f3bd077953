import { readFileSync } from "node:fs"
import { homedir, userInfo } from "node:os"
import { join } from "node:path"
import * as Data from "effect/Data"
import * as Either from "effect/Either"

/** How a connection is encrypted. The files are PEM. `verify` is what is checked of the server's certificate. */
export interface Tls {
  readonly verify: "nothing" | "authority" | "name"
  readonly rootCertificate: string | undefined
  readonly certificate: string | undefined
  readonly key: string | undefined
}

/** A server that may have the database. A `name` that begins with / is the folder of a socket. */
export interface Host {
  readonly name: string
  readonly port: number
}

/**
 * How des reaches the database.
 *
 * - `hosts`: they are tried one after the other. The first one that accepts writes is used.
 * - `password`: undefined if the password file has it, or none is needed.
 * - `tls`: undefined if the connection is not encrypted.
 */
export interface Conninfo {
  readonly hosts: readonly [Host, ...ReadonlyArray<Host>]
  readonly user: string
  readonly database: string
  readonly password: string | undefined
  readonly passfile: string
  readonly tls: Tls | undefined
}

/** The connection is described wrongly. */
export class ConninfoError extends Data.TaggedError("ConninfoError")<{ readonly message: string }> {}

/** What of libpq's parameters des knows, and the variable that gives each (PostgreSQL docs, 34.1.2 and 34.15). */
const variables: Readonly<Record<string, string>> = {
  host: "PGHOST",
  port: "PGPORT",
  user: "PGUSER",
  dbname: "PGDATABASE",
  password: "PGPASSWORD",
  passfile: "PGPASSFILE",
  service: "PGSERVICE",
  sslmode: "PGSSLMODE",
  sslrootcert: "PGSSLROOTCERT",
  sslcert: "PGSSLCERT",
  sslkey: "PGSSLKEY"
}

/** Parameters that libpq knows and that change nothing for des. */
const ignored: ReadonlySet<string> = new Set(["application_name", "target_session_attrs", "connect_timeout"])

type Parameters = Readonly<Record<string, string>>

const wrong = (message: string) => Either.left(new ConninfoError({ message }))

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** The parameters of a URL. The hosts and ports are lists with commas. Node's URL does not know several hosts. */
const parseUrl = (url: string): Either.Either<Parameters, ConninfoError> => {
  const found = /^postgres(?:ql)?:\/\/(?:([^@/?]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/.exec(url)
  if (found === null) {
    return wrong("--state: expected postgresql://USER@HOST:PORT/DATABASE, with ?NAME=VALUE for more")
  }
  const [, account = "", hosts = "", database = "", query = ""] = found
  const [user = "", ...password] = account.split(":")
  if (password.length > 0) {
    return wrong(
      "--state: a password in the URL can be read in the list of processes; write it into the file of PGPASSFILE (~/.pgpass), or into PGPASSWORD"
    )
  }
  const places = hosts === "" ? [] : hosts.split(",").map((place) => /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(place))
  const parameters: Record<string, string> = {}
  if (places.length > 0)
    parameters["host"] = places.map((place) => decode(place?.[1] ?? "").replace(/^\[(.*)\]$/, "$1")).join()
  if (places.some((place) => place?.[2] !== undefined)) {
    parameters["port"] = places.map((place) => place?.[2] ?? "").join()
  }
  if (user !== "") parameters["user"] = decode(user)
  if (database !== "") parameters["dbname"] = decode(database)
  for (const [name, value] of new URLSearchParams(query)) {
    if (name === "password") return wrong("--state: write the password into the file of PGPASSFILE, not into the URL")
    if (variables[name] === undefined && !ignored.has(name)) {
      return wrong(`--state: ${name} is not a parameter that des knows; it knows ${Object.keys(variables).join(", ")}`)
    }
    parameters[name] = value
  }
  return Either.right(parameters)
}

/** The parameters of one section of a service file: `name=value` in each line. */
export const parseService = (file: string, service: string): Parameters | undefined => {
  const lines = file.split("\n").map((line) => line.trim())
  const at = lines.indexOf(`[${service}]`)
  if (at < 0) return undefined
  const parameters: Record<string, string> = {}
  for (const line of lines.slice(at + 1)) {
    if (line.startsWith("[")) break
    const equals = line.indexOf("=")
    if (line.startsWith("#") || equals < 1) continue
    parameters[line.slice(0, equals).trim()] = line.slice(equals + 1).trim()
  }
  return parameters
}

const attempt = (file: string): string | undefined => {
  try {
    return readFileSync(file, "utf8")
  } catch {
    return undefined
  }
}

/** What the machine gives: variables, files, and who des runs as. A test replaces it. */
export interface Surroundings {
  readonly variables: Readonly<Record<string, string | undefined>>
  readonly read: (file: string) => string | undefined
  readonly home: string
  readonly user: string
}

/** Those of this process. */
export const surroundings = (): Surroundings => ({
  variables: process.env,
  read: attempt,
  home: homedir(),
  user: userInfo().username
})

const serviceOf = (service: string | undefined, { home, read, variables: own }: Surroundings) => {
  if (service === undefined) return Either.right<Parameters>({})
  const file = own["PGSERVICEFILE"] ?? join(home, ".pg_service.conf")
  const text = read(file)
  if (text === undefined)
    return wrong(`the service ${service} is asked for, and ${file} (PGSERVICEFILE) cannot be read`)
  const found = parseService(text, service)
  return found === undefined ? wrong(`the file ${file} has no service [${service}]`) : Either.right(found)
}

const isLocal = ({ name }: Host): boolean => name.startsWith("/") || /^(localhost|127\..*|::1)$/.test(name)

const tlsOf = (given: Parameters, hosts: ReadonlyArray<Host>): Either.Either<Tls | undefined, ConninfoError> => {
  const mode = given["sslmode"] ?? (hosts.every(isLocal) ? "disable" : "verify-full")
  const root = given["sslrootcert"]
  const files = {
    rootCertificate: root === "system" ? undefined : root,
    certificate: given["sslcert"],
    key: given["sslkey"]
  }
  switch (mode) {
    case "disable":
      return Either.right(undefined)
    // As libpq: with a root certificate, require checks it, too.
    case "require":
      return Either.right({ verify: root === undefined ? "nothing" : "authority", ...files })
    case "verify-ca":
      return Either.right({ verify: "authority", ...files })
    case "verify-full":
      return Either.right({ verify: "name", ...files })
    default:
      return wrong(`sslmode ${JSON.stringify(mode)}: expected disable, require, verify-ca or verify-full`)
  }
}

const hostsOf = (given: Parameters): Either.Either<Conninfo["hosts"], ConninfoError> => {
  const names = (given["host"] ?? "").split(",").map((name) => (name === "" ? "/var/run/postgresql" : name))
  const ports = (given["port"] ?? "").split(",")
  const hosts = names.map((name, at) => ({ name, port: Number((ports.length === 1 ? ports[0] : ports[at]) || 5432) }))
  const bad = hosts.find(({ port }) => !Number.isInteger(port) || port < 1 || port > 65_535)
  const [first, ...others] = hosts
  if (bad !== undefined || first === undefined) return wrong("--state: expected a port from 1 to 65535 behind the host")
  return Either.right([first, ...others])
}

/**
 * Reads how to reach the database: from the URL, then from a service file, then from variables, as libpq does. If no host is local and no
 * `sslmode` is given, the certificate and its name are checked (`verify-full`); libpq would also go on without encryption.
 */
export const parse = (url: string, around: Surroundings): Either.Either<Conninfo, ConninfoError> =>
  Either.gen(function* () {
    const ofUrl = yield* parseUrl(url)
    const ofVariables: Record<string, string> = {}
    for (const [name, variable] of Object.entries(variables)) {
      const value = around.variables[variable]
      if (value !== undefined && value !== "") ofVariables[name] = value
    }
    const ofService = yield* serviceOf(ofUrl["service"] ?? ofVariables["service"], around)
    const given: Parameters = { ...ofVariables, ...ofService, ...ofUrl }
    const hosts = yield* hostsOf(given)
    const user = given["user"] ?? around.user
    return {
      hosts,
      user,
      database: given["dbname"] ?? user,
      password: given["password"],
      passfile: given["passfile"] ?? join(around.home, ".pgpass"),
      tls: yield* tlsOf(given, hosts)
    }
  })

/** The database in words, for messages: never with a password. */
export const format = ({ database, hosts, user }: Conninfo): string =>
  `postgresql://${user}@${hosts.map(({ name, port }) => (name.startsWith("/") ? name : `${name}:${port}`)).join()}/${database}`

/** Splits a line of a password file. A backslash keeps the next character from ending a field. */
const fieldsOf = (line: string): ReadonlyArray<string> =>
  [...line.matchAll(/((?:\\.|[^:\\])*)(?::|$)/g)].map(([, field = ""]) => field.replaceAll(/\\(.)/g, "$1"))

/** The password that a password file has for a host (PostgreSQL docs, 34.16). */
export const passwordIn = (file: string, { database, user }: Conninfo, host: Host): string | undefined => {
  const name = host.name.startsWith("/") ? "localhost" : host.name
  const wanted = [name, String(host.port), database, user]
  for (const line of file.split("\n")) {
    if (line.startsWith("#")) continue
    const fields = fieldsOf(line)
    if (fields.length >= 5 && wanted.every((value, at) => fields[at] === "*" || fields[at] === value)) return fields[4]
  }
  return undefined
}
