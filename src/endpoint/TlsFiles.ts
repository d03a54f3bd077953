import { createSecureContext, type SecureContextOptions } from "node:tls"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Tls } from "./Endpoint.ts"

/** TLS files that cannot be read, or that cannot be used for a connection. */
export class TlsFilesError extends Schema.TaggedError<TlsFilesError>()("TlsFilesError", {
  reason: Schema.Literal("Unreadable", "Unusable"),
  files: Schema.Array(Schema.String),
  detail: Schema.String
}) {
  override get message(): string {
    const files = this.files.join(", ")
    return this.reason === "Unreadable"
      ? `${files} cannot be read: ${this.detail}; TLS needs ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH or the docker command's folder`
      : `${files} cannot be used for TLS: ${this.detail}; they must be PEM, and the key the certificate's own, without a password`
  }
}

/** Where systems keep the authorities that they trust, in the order in which Go, and so docker, looks for them (`crypto/x509/root_linux.go`). */
const ofSystem = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem"
]

/** The authorities that the system trusts, if it has a file of them. Node's own list lacks those that an administrator added. */
const systemAuthorities = Effect.gen(function* () {
  const fileSystem = yield* FileSystem.FileSystem
  const named = yield* Config.option(Config.string("SSL_CERT_FILE"))
  const files = Option.isSome(named) ? [named.value] : ofSystem
  return yield* Effect.firstSuccessOf(files.map((file) => fileSystem.readFileString(file)))
}).pipe(Effect.orElseSucceed(() => undefined))

/**
 * Reads the files of a TLS connection. Each connection reads them again, since certificates are renewed while des runs.
 */
export const read = Effect.fn("TlsFiles.read")(function* (tls: Tls) {
  const fileSystem = yield* FileSystem.FileSystem
  const file = (path: string | undefined) =>
    path === undefined
      ? Effect.succeed(undefined)
      : Effect.mapError(fileSystem.readFileString(path), (error) => {
          const absent = error._tag === "SystemError" && error.reason === "NotFound"
          const detail = absent ? "there is no such file" : error.message
          return new TlsFilesError({ reason: "Unreadable", files: [path], detail })
        })
  const authorities = tls.ca === undefined && tls.verify ? systemAuthorities : file(tls.ca)
  const [ca, cert, key] = yield* Effect.all([authorities, file(tls.cert), file(tls.key)])
  const options: SecureContextOptions = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key })
  }
  yield* Effect.try({
    try: () => createSecureContext(options),
    catch: (cause) =>
      new TlsFilesError({
        reason: "Unusable",
        files: [tls.ca, tls.cert, tls.key].filter((path) => path !== undefined),
        detail: cause instanceof Error ? cause.message : String(cause)
      })
  })
  return options
})
