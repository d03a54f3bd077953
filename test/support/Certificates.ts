/** Certificates that openssl makes, for engines that speak TLS in tests. */

import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as TempFolder from "./TempFolder.ts"

/** An authority that issues certificates into folders of their own, with the names that the docker command wants. */
export interface Authority {
  /**
   * Issues a certificate as ca.pem, cert.pem and key.pem, and gives their folder. `names` are subjectAltNames, empty for none; `days` may be
   * negative.
   */
  readonly issue: (options?: {
    readonly names?: string
    readonly commonName?: string
    readonly days?: number
  }) => string
}

const openssl = (dir: string, ...args: ReadonlyArray<string>): void => {
  execFileSync("openssl", args, { cwd: dir, stdio: "pipe" })
}

const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

const create = (dir: string): Authority => {
  openssl(
    dir,
    "req",
    "-x509",
    ...key,
    "-keyout",
    "ca.key",
    "-out",
    "ca.pem",
    "-subj",
    "/CN=test authority",
    "-days",
    "2"
  )
  let issued = 0
  return {
    issue: ({ commonName = "test", days = 2, names = "DNS:localhost,IP:127.0.0.1" } = {}) => {
      const folder = Path.join(dir, String(issued++))
      Fs.mkdirSync(folder)
      Fs.copyFileSync(Path.join(dir, "ca.pem"), Path.join(folder, "ca.pem"))
      Fs.writeFileSync(
        Path.join(folder, "extensions"),
        `${names === "" ? "" : `subjectAltName=${names}\n`}extendedKeyUsage=serverAuth,clientAuth\n`
      )
      openssl(folder, "req", "-new", ...key, "-keyout", "key.pem", "-out", "request.pem", "-subj", `/CN=${commonName}`)
      const sign = ["x509", "-req", "-in", "request.pem", "-CA", "../ca.pem", "-CAkey", "../ca.key", "-CAcreateserial"]
      openssl(folder, ...sign, "-days", String(days), "-extfile", "extensions", "-out", "cert.pem")
      return folder
    }
  }
}

/** Makes an authority for the scope. */
export const authority: Effect.Effect<Authority, never, Scope.Scope> = Effect.map(
  TempFolder.make("certificates"),
  create
)
