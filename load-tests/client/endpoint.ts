import { createHash, randomBytes } from 'node:crypto'
import net from 'node:net'
import tls from 'node:tls'

/** Where a broker is reached, and with which credentials. Plain data: it goes to worker processes. */
export interface Endpoint {
  /** ws://, wss://, mqtt:// (tcp://) or mqtts:// (tls://). */
  readonly url: string
  /** PEM of the authority to trust, for TLS. */
  readonly ca: string | undefined
  readonly username: string | undefined
  readonly password: string | undefined
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = {
  'ws:': 80,
  'wss:': 443,
  'mqtt:': 1883,
  'tcp:': 1883,
  'mqtts:': 8883,
  'tls:': 8883,
}

export function isWebSocket(url: URL): boolean {
  return url.protocol === 'ws:' || url.protocol === 'wss:'
}

export function isTls(url: URL): boolean {
  return ['wss:', 'mqtts:', 'tls:'].includes(url.protocol)
}

export function portOf(url: URL): number {
  return url.port === '' ? (DEFAULT_PORTS[url.protocol] ?? 0) : Number(url.port)
}

/**
 * All connections of a process read into one buffer: a read is worked off before the next one begins, and nothing is
 * allocated for it. Over TLS Node offers no such reading.
 */
const readBuffer = Buffer.allocUnsafeSlow(262_144)

export type OnBytes = (bytes: Buffer, start: number, end: number) => void

/** Opens a socket; `onBytes` gets what comes in, valid during the call only. Rejects when the peer cannot be reached. */
export function openSocket(endpoint: Endpoint, onBytes: OnBytes): Promise<net.Socket> {
  const url = new URL(endpoint.url)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = portOf(url)
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => reject(error)
    const opened = (socket: net.Socket) => () => {
      socket.off('error', failed)
      resolve(socket)
    }
    if (isTls(url)) {
      const socket = tls.connect({
        host,
        port,
        ...(endpoint.ca !== undefined && { ca: endpoint.ca }),
        ...(net.isIP(host) === 0 && { servername: host }),
      })
      socket.setNoDelay(true)
      socket.on('data', (bytes: Buffer) => onBytes(bytes, 0, bytes.length))
      socket.once('secureConnect', opened(socket)).once('error', failed)
    } else {
      const socket = net.connect({
        host,
        port,
        noDelay: true,
        onread: {
          buffer: readBuffer,
          callback: (length) => {
            onBytes(readBuffer, 0, length)
            return true
          },
        },
      })
      socket.once('connect', opened(socket)).once('error', failed)
    }
  })
}

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

export interface Upgrade {
  readonly request: string
  /** Whether the answer to the request is the one that RFC 6455, 4.1 asks for. */
  accepts(response: string): boolean
}

export function upgradeRequest(endpoint: Endpoint): Upgrade {
  const url = new URL(endpoint.url)
  const key = randomBytes(16).toString('base64')
  const accept = createHash('sha1')
    .update(key + GUID)
    .digest('base64')
  return {
    request: [
      `GET ${url.pathname}${url.search} HTTP/1.1`,
      `Host: ${url.host}`,
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Key: ${key}`,
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Protocol: mqtt',
      '\r\n',
    ].join('\r\n'),
    accepts: (response) =>
      /^HTTP\/1\.1 101 /.test(response) &&
      (/^sec-websocket-accept: *(\S+)/im.exec(response)?.[1] ?? '') === accept,
  }
}
