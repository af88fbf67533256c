import { SocketAddress, isIPv4, isIPv6 } from 'node:net'
import { normalizeAddress } from './address.js'

/**
 * What a proxy sends ahead of the client's bytes: the PROXY protocol of HAProxy ("The PROXY protocol, versions 1 & 2",
 * 2020/03/05), both versions. The receiver may not guess whether there is a header, so one is demanded.
 */
export type ProxyHeader =
  | { readonly state: 'incomplete' }
  | { readonly state: 'malformed'; readonly detail: string }
  | {
      readonly state: 'complete'
      /** Bytes of the header; what follows is the client's. */
      readonly length: number
      /** Undefined: the proxy speaks for itself (a health check), or for a client whose address it cannot say. */
      readonly client: { readonly address: string; readonly port: number } | undefined
    }

/**
 * Most bytes of a version 2 header that are taken. Addresses are 36 bytes at most; the rest are extensions (TLV), which
 * are passed over: with names, certificates' subjects and network ids proxies send a few hundred bytes.
 */
export const LARGEST_PROXY_HEADER = 4_096

/** Reads the header at the begin of what has come in so far; never throws. */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  const first = bytes[0]
  if (first === undefined) return INCOMPLETE
  if (first === SIGNATURE_V2[0]) return readBinary(bytes)
  if (first === SIGNATURE_V1[0]) return readText(bytes)
  return malformed('no PROXY protocol header')
}

const INCOMPLETE: ProxyHeader = { state: 'incomplete' }

/** 2.2: twelve bytes that no protocol in use begins with. */
const SIGNATURE_V2 = Buffer.from('0D0A0D0A000D0A515549540A', 'hex')
/** Signature, version and command, family and transport, length of what follows. */
const FIXED_V2 = 16
const COMMAND_LOCAL = 0x20
const COMMAND_PROXY = 0x21
const TCP_OVER_IPV4 = 0x11
const TCP_OVER_IPV6 = 0x21

function readBinary(bytes: Buffer): ProxyHeader {
  const known = Math.min(bytes.length, SIGNATURE_V2.length)
  if (bytes.compare(SIGNATURE_V2, 0, known, 0, known) !== 0) return malformed('a wrong signature')
  if (bytes.length < FIXED_V2) return INCOMPLETE
  const command = bytes.readUInt8(12)
  if (command !== COMMAND_LOCAL && command !== COMMAND_PROXY)
    return malformed('an unknown version or command')
  const length = FIXED_V2 + bytes.readUInt16BE(14)
  if (length > LARGEST_PROXY_HEADER) return malformed(`${length} bytes of header`)
  if (bytes.length < length) return INCOMPLETE
  if (command === COMMAND_LOCAL) return { state: 'complete', length, client: undefined }
  return readAddresses(bytes.readUInt8(13), bytes.subarray(FIXED_V2, length), length)
}

/** Source address, destination address, source port, destination port. */
function readAddresses(family: number, block: Buffer, length: number): ProxyHeader {
  // Unix sockets, datagrams and what is yet to be invented: the connection is sound, the client is not known (2.2).
  if (family !== TCP_OVER_IPV4 && family !== TCP_OVER_IPV6)
    return { state: 'complete', length, client: undefined }
  const size = family === TCP_OVER_IPV4 ? 4 : 16
  if (block.length < 2 * size + 4) return malformed('addresses cut short')
  const address = family === TCP_OVER_IPV4 ? block.subarray(0, 4).join('.') : ipv6Of(block.subarray(0, 16))
  return { state: 'complete', length, client: { address, port: block.readUInt16BE(2 * size) } }
}

const SIGNATURE_V1 = Buffer.from('PROXY ', 'latin1')
/** 2.1: of the longest line, with its CRLF. */
const LONGEST_V1 = 107
const LINE_V1 = /^PROXY (?:UNKNOWN(?: .*)?|TCP([46]) (\S+) (\S+) (\d{1,5}) (\d{1,5}))$/

function readText(bytes: Buffer): ProxyHeader {
  const known = Math.min(bytes.length, SIGNATURE_V1.length)
  if (bytes.compare(SIGNATURE_V1, 0, known, 0, known) !== 0) return malformed('a wrong signature')
  const end = bytes.subarray(0, LONGEST_V1).indexOf('\r\n')
  if (end < 0) return bytes.length < LONGEST_V1 ? INCOMPLETE : malformed('a line without an end')
  const match = LINE_V1.exec(bytes.toString('latin1', 0, end))
  if (match === null) return malformed('a line that cannot be read')
  const length = end + 2
  const [, family, source = '', destination = '', port = '', destinationPort = ''] = match
  if (family === undefined) return { state: 'complete', length, client: undefined }
  const isAddress = family === '4' ? isIPv4 : isPlainIPv6
  const isSound = isAddress(source) && isAddress(destination) && isPort(port) && isPort(destinationPort)
  if (!isSound) return malformed('addresses that are none')
  const address = family === '4' ? source : canonicalIPv6(source)
  return { state: 'complete', length, client: { address, port: Number(port) } }
}

function isPort(text: string): boolean {
  return Number(text) <= 65_535
}

/** A zone (`fe80::1%eth0`) means something on the proxy's machine only. */
function isPlainIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes('%')
}

function ipv6Of(bytes: Buffer): string {
  const groups: string[] = []
  for (let at = 0; at < bytes.length; at += 2) groups.push(bytes.readUInt16BE(at).toString(16))
  return canonicalIPv6(groups.join(':'))
}

/** The shortest form, and IPv4 as such: one client has one address, however it was written. */
function canonicalIPv6(address: string): string {
  return normalizeAddress(new SocketAddress({ address, family: 'ipv6' }).address)
}

function malformed(detail: string): ProxyHeader {
  return { state: 'malformed', detail }
}
