/** Where des listens for those who ask how it is, and who may ask there. */

/** A place to listen at. `host` is a name or an address, without brackets. */
export type Address =
  | { readonly _tag: "Unix"; readonly path: string }
  | { readonly _tag: "Tcp"; readonly host: string; readonly port: number }

/** Parses HOST:PORT, [ADDRESS]:PORT or unix:PATH. */
export const parse = (text: string): Address | undefined => {
  const [, path] = /^unix:(?:\/\/)?(\/.+)$/s.exec(text) ?? []
  if (path !== undefined) return { _tag: "Unix", path }
  const [, bracketed, plain, digits = ""] = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text) ?? []
  const host = bracketed ?? plain
  const port = Number(digits)
  return host === undefined || port > 65_535 ? undefined : { _tag: "Tcp", host: host.toLowerCase(), port }
}

/** An address as {@link parse} reads it. */
export const format = (address: Address): string =>
  address._tag === "Unix"
    ? `unix:${address.path}`
    : `${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`

const isLoopbackHost = (host: string): boolean =>
  host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host)

/** True if only this host can connect. */
export const isLocal = (address: Address): boolean => address._tag === "Unix" || isLoopbackHost(address.host)

const isIp = (host: string): boolean => host.includes(":") || /^\d{1,3}(\.\d{1,3}){3}$/.test(host)

/**
 * True if a request with this `Host` header may be answered. A web page can give its own name the address of this host (DNS rebinding). A
 * browser would then let that page read the answers, but it sends the name of that page. So des answers only to names that no page
 * can have: addresses, localhost, the host of `--listen`, and if other hosts may connect, names without a dot.
 */
export const isAllowedHost = (address: Address, header: string | undefined): boolean => {
  if (address._tag === "Unix") return true
  const [, bracketed, plain] =
    /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/.exec((header ?? "").toLowerCase()) ?? []
  const host = bracketed ?? plain
  if (host === undefined) return false
  if (isLoopbackHost(host) || host === address.host) return true
  return !isLocal(address) && (isIp(host) || !host.includes("."))
}
