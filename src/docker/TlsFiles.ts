import { createSecureContext, type SecureContextOptions } from "node:tls"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Tls } from "./Endpoint.ts"

/**
 * Files of a certificate that are missing, or that no connection can be made with.
 *
 * @since 1.0.0
 * @category errors
 */
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

/**
 * Reads the files of a TLS connection. They are read with every connection, since certificates are renewed while des runs.
 *
 * @since 1.0.0
 * @category constructors
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
  const [ca, cert, key] = yield* Effect.all([file(tls.ca), file(tls.cert), file(tls.key)])
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
