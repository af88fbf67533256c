import { isIPv4 } from 'node:net'

/** Whether a normalized address is of the loopback interface. */
export function isLoopbackAddress(address: string): boolean {
  // Not by the first characters alone: `127.0.0.1.example.com` is a name, and may be anybody's.
  return address === '::1' || (address.startsWith('127.') && isIPv4(address))
}

/** Whether a host, as in a URL or in the configuration, can only mean this machine. */
export function isLoopbackName(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '')
  return name === 'localhost' || name.endsWith('.localhost') || isLoopbackAddress(name)
}
