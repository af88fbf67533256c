import { isIPv6 } from 'node:net'

/** `::ffff:192.0.2.1` is how a dual-stack socket reports an IPv4 peer: brought back to `192.0.2.1`. */
export function normalizeAddress(address: string): string {
  return address.startsWith(MAPPED) && address.includes('.') ? address.slice(MAPPED.length) : address
}

/** `host:port` as it stands in a URL. */
export function formatAuthority(host: string, port: number): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`
}

const MAPPED = '::ffff:'
