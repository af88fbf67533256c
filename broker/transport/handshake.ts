import { hash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { HandshakeRefusal } from '../contract/events.js'
import { isLoopbackName } from '../contract/loopback.js'

export interface HandshakeRules {
  readonly path: string
  /** Origins whose pages may connect, besides the listener's own; `*`: any. */
  readonly origins: readonly string[]
  /** Whether the listener is bound to the loopback interface; see `isOwnOrigin`. */
  readonly loopback: boolean
}

export interface UpgradeRequest {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly httpVersionMajor: number
  readonly httpVersionMinor: number
  readonly headers: IncomingHttpHeaders
}

export type HandshakeVerdict =
  | {
      readonly accepted: true
      readonly subprotocol: string
      /** `Sec-WebSocket-Accept` */
      readonly acceptKey: string
      /** Secret. */
      readonly bearerToken: string | undefined
    }
  | { readonly accepted: false; readonly refusal: Refusal }

export interface Refusal {
  readonly status: 400 | 403 | 404 | 405 | 426 | 503
  readonly reason: HandshakeRefusal
  /** For whoever reads the response: what was wrong, what to do. */
  readonly text: string
  readonly headers?: Readonly<Record<string, string>>
}

/** `mqtt` for 3.1.1 and 5 [MQTT-6.0.0-3], `mqttv3.1` for what came before. */
const SUBPROTOCOLS = ['mqtt', 'mqttv3.1']

/** Judges the opening handshake of a WebSocket (RFC 6455, 4.2). */
export function judgeHandshake(request: UpgradeRequest, rules: HandshakeRules): HandshakeVerdict {
  const { headers } = request
  const url = request.url ?? ''
  const queryAt = url.indexOf('?')
  const path = queryAt < 0 ? url : url.slice(0, queryAt)

  if (path !== rules.path) {
    return refuse(404, 'unknown_path', `There is no WebSocket endpoint at this path; it is at ${rules.path}.`)
  }
  if (request.method !== 'GET') {
    return refuse(405, 'bad_request', 'A WebSocket handshake is a GET request.', { Allow: 'GET' })
  }
  if (request.httpVersionMajor < 1 || (request.httpVersionMajor === 1 && request.httpVersionMinor < 1)) {
    return refuse(400, 'bad_request', 'A WebSocket handshake needs HTTP/1.1.')
  }
  if (!names(headers.upgrade, 'websocket')) {
    return refuse(400, 'bad_request', 'The only upgrade here is the one to "websocket".')
  }
  if (headers['sec-websocket-version'] !== '13') {
    return refuse(426, 'bad_request', 'Only version 13 of the WebSocket protocol is spoken here.', {
      'Sec-WebSocket-Version': '13',
    })
  }
  const key = headers['sec-websocket-key']
  if (key === undefined || !KEY.test(key)) {
    return refuse(400, 'bad_request', 'Sec-WebSocket-Key is missing or is not 16 bytes in base64.')
  }
  const { origin } = headers
  if (origin !== undefined && !isAllowedOrigin(origin, headers.host, rules)) {
    return refuse(
      403,
      'origin',
      `Pages of this origin may not connect; the listener's "origins" name those that may.`,
    )
  }
  const subprotocol = chooseSubprotocol(split(headers['sec-websocket-protocol']))
  if (subprotocol === undefined) {
    return refuse(
      400,
      'subprotocol',
      'Sec-WebSocket-Protocol has to offer "mqtt" (or "mqttv3.1" for MQTT 3.1) [MQTT-6.0.0-3].',
    )
  }
  return {
    accepted: true,
    subprotocol,
    acceptKey: hash('sha1', key + GUID, 'base64'),
    bearerToken: bearerToken(headers.authorization, queryAt < 0 ? '' : url.slice(queryAt + 1)),
  }
}

/** The first acceptable one of those that the client offers, in its order of preference. */
export function chooseSubprotocol(offered: Iterable<string>): string | undefined {
  for (const name of offered) if (SUBPROTOCOLS.includes(name)) return name
  return undefined
}

const KEY = /^[+/0-9A-Za-z]{22}==$/
/** RFC 6455, 1.3 */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

function refuse(
  status: Refusal['status'],
  reason: HandshakeRefusal,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): HandshakeVerdict {
  return { accepted: false, refusal: { status, reason, text, headers } }
}

function split(list: string | undefined): string[] {
  return list === undefined ? [] : list.split(',').map((item) => item.trim())
}

function names(list: string | undefined, name: string): boolean {
  return split(list).some((item) => item.toLowerCase() === name)
}

/** Browsers cannot set headers on a WebSocket, hence the query. The header is the better place and wins. */
function bearerToken(authorization: string | undefined, query: string): string | undefined {
  const bearer = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
  if (bearer !== undefined) return bearer
  if (query === '') return undefined
  const parameters = new URLSearchParams(query)
  return (parameters.get('access_token') ?? parameters.get('token')) || undefined
}

function isAllowedOrigin(origin: string, host: string | undefined, rules: HandshakeRules): boolean {
  if (rules.origins.includes('*')) return true
  const claimed = origin.toLowerCase()
  if (rules.origins.some((allowed) => allowed.toLowerCase().replace(/\/$/, '') === claimed)) return true
  return host !== undefined && isOwnOrigin(claimed, host.toLowerCase(), rules.loopback)
}

/**
 * Whether a page comes from the very host and port that it connects to. On a loopback listener only loopback
 * names count: any page can have its own name resolve to 127.0.0.1 (DNS rebinding), be its "own host" there, and
 * would be let in as an anonymous client of this machine.
 */
function isOwnOrigin(origin: string, host: string, loopback: boolean): boolean {
  let url: URL
  try {
    url = new URL(origin)
  } catch {
    return false // "null", as pages from files have it
  }
  if (url.host !== host && url.host !== withoutDefaultPort(host, url.protocol)) return false
  return !loopback || isLoopbackName(url.hostname)
}

function withoutDefaultPort(host: string, protocol: string): string {
  const port = protocol === 'https:' ? ':443' : ':80'
  return host.endsWith(port) ? host.slice(0, -port.length) : host
}
