import type { Endpoint } from "../endpoint/Endpoint.ts"

/** The certificate names the host only as its common name. The docker command refuses such a certificate, too. */
export class CommonNameOnly extends Error {
  readonly code = "CERT_COMMON_NAME_ONLY"
}

/** What to do when a connection failed, by the error codes of Node and OpenSSL. */
const advice: Readonly<Record<string, string>> = {
  ENOENT: "the socket does not exist; is the engine running? To use another one, set -e or DOCKER_HOST",
  ECONNREFUSED: "nothing listens there; is the engine running? To use another one, set -e or DOCKER_HOST",
  EACCES: "this user may not open the socket; run des as root or in the socket's group",
  ENOTFOUND: "the host's name is not known",
  EAI_AGAIN: "the host's name cannot be looked up now",
  ETIMEDOUT: "the host does not answer",
  EHOSTUNREACH: "there is no route to the host",
  ENETUNREACH: "there is no route to the host's network",
  CERT_HAS_EXPIRED: "its certificate has expired; renew it, or check the clock of this machine",
  CERT_NOT_YET_VALID: "its certificate is not valid yet; check the clock of this machine",
  CERT_COMMON_NAME_ONLY:
    "its certificate names the host only as a common name, which the docker command refuses, too; issue one with a subjectAltName"
}

const unknownAuthority = "its certificate is from an authority that"

const unverified = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "CERT_SIGNATURE_FAILURE"
])

/** What to do when TLS failed; undefined for any other failure. */
const explainTls = (code: string, error: Error, endpoint: Endpoint): string | undefined => {
  if (endpoint._tag !== "Tcp" || endpoint.tls === undefined) return undefined
  const { ca, cert } = endpoint.tls
  if (unverified.has(code)) {
    return ca === undefined
      ? `${unknownAuthority} this machine does not know; put the engine's ca.pem into DOCKER_CERT_PATH`
      : `${unknownAuthority} is not in ${ca}; put the engine's own there`
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    const reason = "reason" in error && typeof error.reason === "string" ? error.reason : error.message
    return `its certificate is for other names (${reason.slice(0, 300)}); name the engine as its certificate does`
  }
  // OpenSSL's own words are in the code, or only in the message: that depends on the moment of the failure.
  const said = `${code} ${error.message}`.replaceAll("_", " ").toLowerCase()
  if (said.includes("wrong version number")) {
    return "it speaks no TLS there; leave DOCKER_TLS_VERIFY and DOCKER_TLS empty, or name its port for TLS"
  }
  const alert =
    /alert (certificate required|certificate expired|bad certificate|unknown ca|certificate unknown|handshake failure|access denied)/.exec(
      said
    )?.[1]
  if (alert === undefined) return undefined
  if (cert === undefined || alert === "certificate required") {
    return "it wants a client's certificate; put cert.pem and key.pem into DOCKER_CERT_PATH"
  }
  return `it does not accept this client's certificate, ${cert} (${alert}); its authority must be one that the engine trusts`
}

/**
 * Explains why a connection failed, and what to do. `otherSockets` are sockets that exist although the default one does not.
 */
export const explain = (cause: Error, endpoint: Endpoint, otherSockets: ReadonlyArray<string>): string => {
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : ""
  if (code === "ENOENT" && otherSockets.length > 0) {
    return `the socket does not exist, but these exist: ${otherSockets.map((path) => `-e unix://${path}`).join(", ")}`
  }
  // Node says "aborted" if the connection ends in the middle of an answer.
  if (cause.message === "aborted") return "the connection was cut"
  return explainTls(code, cause, endpoint) ?? advice[code] ?? cause.message
}
