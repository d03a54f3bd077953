/** What the help and the manual page say beside commands and options. */

import type { Section } from "./Help.ts"
import * as Variables from "./Variables.ts"

/** The exit codes of every command. */
export const exitCodes: Section = {
  title: "Exit codes",
  rows: [
    ["0", "success; with --from no script failed"],
    [
      "1",
      "an error, which the last log line names; with --from and in des try a script failed; in des check there is a problem, or no script would run for the event; in des try no script ran"
    ],
    ["2", "wrong usage"],
    ["130, 143", "stopped by SIGINT or SIGTERM"]
  ]
}

/** The variables that des itself reads, beside those that set an option. */
export const variables: Section = {
  title: "Environment",
  rows: [
    ["STATE_DIRECTORY", "the state directory, as systemd sets it, if --state and DES_STATE_DIR are missing"],
    [
      "PGPASSFILE, PGSERVICEFILE",
      "files with the password and the service of a journal in PostgreSQL; PGHOST, PGUSER and their companions work as well"
    ],
    ["DOCKER_HOST", "the endpoint of the engine, if -e and --context are missing"],
    ["DOCKER_CONTEXT", "the context of the docker command, if -e, --context and DOCKER_HOST are missing"],
    ["DOCKER_CONFIG", "the directory of the contexts (default ~/.docker)"],
    ["DOCKER_CERT_PATH", "the directory of ca.pem, cert.pem and key.pem"],
    ["DOCKER_TLS_VERIFY", "if it is not empty, TCP endpoints use TLS, and the certificate of the engine is checked"],
    ["DOCKER_TLS", "if it is not empty, TCP endpoints use TLS, and the certificate of the engine is not checked"],
    ["DOCKER_API_VERSION", "the version of the API, instead of a negotiated one"],
    ["HOME, XDG_RUNTIME_DIR", "where the configuration of the docker command and the sockets of the user are"],
    ["SSH_AUTH_SOCK", "the agent that ssh asks, for engines at ssh://"],
    ["NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID", "set by systemd; des tells it that it is ready and alive"],
    ["JOURNAL_STREAM", "set by systemd; each log line gets its priority for journald"],
    [
      "OTEL_EXPORTER_OTLP_ENDPOINT",
      "the collector of OpenTelemetry to which des sends traces and logs, over HTTP; its companions OTEL_* work as well"
    ],
    ["NO_COLOR, TERM", "no colours, if NO_COLOR is not empty or TERM is dumb"]
  ]
}

/** The variables that set options. */
export const optionVariables = (options: ReadonlyArray<string>): Section => ({
  title: "Options in variables",
  rows: options.flatMap((name) => {
    const variable = Variables.variableOf(name)
    return variable === undefined ? [] : [[variable, `--${name}`] as const]
  })
})
