import type { Endpoint } from "./Endpoint.ts"

/** What a connection failed with, and what to do about it; by the codes of Node and of OpenSSL. */
const advice: Readonly<Record<string, string>> = {
  ENOENT: "there is no such socket; is the engine running? -e and DOCKER_HOST name another one",
  ECONNREFUSED: "nothing listens there; is the engine running? -e and DOCKER_HOST name another one",
  EACCES: "this user may not open the socket; run des as root or in the socket's group",
  ENOTFOUND: "the host's name is not known",
  EAI_AGAIN: "the host's name cannot be looked up now",
  ETIMEDOUT: "the host does not answer",
  CERT_HAS_EXPIRED: "its certificate has expired; renew it, or look at this machine's clock",
  CERT_NOT_YET_VALID: "its certificate is not valid yet; look at this machine's clock",
  ERR_SSL_WRONG_VERSION_NUMBER: "it speaks no TLS there; without DOCKER_TLS_VERIFY and DOCKER_TLS des does not either"
}

const refusedCertificate = "it does not accept this client's certificate"
const unknownAuthority = "its certificate is from an authority that"

const unverified = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "CERT_SIGNATURE_FAILURE"
])

const ofTls = (code: string, error: Error, endpoint: Endpoint): string | undefined => {
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
  if (/^ERR_SSL_.*ALERT_CERTIFICATE_REQUIRED$/.test(code)) {
    return "it wants a client's certificate; put cert.pem and key.pem into DOCKER_CERT_PATH"
  }
  if (/^ERR_SSL_.*ALERT_CERTIFICATE_EXPIRED$/.test(code)) return `${refusedCertificate}, which has expired: ${cert}`
  if (
    /^ERR_SSL_.*ALERT_(?:BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_UNKNOWN|HANDSHAKE_FAILURE|ACCESS_DENIED)$/.test(code)
  ) {
    return cert === undefined
      ? "it wants a client's certificate; put cert.pem and key.pem into DOCKER_CERT_PATH"
      : `${refusedCertificate}, ${cert}; it must come from the authority that the engine trusts`
  }
  return undefined
}

/**
 * Why a connection could not be made, and what to do about it. `otherSockets` are those that are there where the default one
 * is not.
 *
 * @since 1.0.0
 * @category combinators
 */
export const explain = (cause: Error, endpoint: Endpoint, otherSockets: ReadonlyArray<string>): string => {
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : ""
  if (code === "ENOENT" && otherSockets.length > 0) {
    return `there is no such socket, but these there are: ${otherSockets.map((path) => `-e unix://${path}`).join(", ")}`
  }
  return ofTls(code, cause, endpoint) ?? advice[code] ?? cause.message
}
