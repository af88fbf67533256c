import { connect as connectTcp, isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { WebSocket, createWebSocketStream } from 'ws'

/** Where a device connects to. */
export interface BrokerAddress {
  /** `ws:`, `wss:`, `mqtt:` (or `tcp:`), `mqtts:` (or `tls:`). */
  readonly url: URL
  /** PEM of the authorities to trust instead of the system's. */
  readonly ca: Buffer | undefined
}

/** Opens the byte stream of one connection. Failures come as `error` on the stream, followed by `close`. */
export function openSocket({ url, ca }: BrokerAddress): Duplex {
  const trust = ca === undefined ? {} : { ca }
  // An IPv6 address stands in brackets in a URL, and without them everywhere else.
  const host = url.hostname.replace(/^\[|\]$/g, '')
  switch (url.protocol) {
    case 'ws:':
    case 'wss:':
      return webSocket(url, trust)
    case 'mqtts:':
    case 'tls:':
      return connectTls({
        host,
        port: Number(url.port || 8883),
        // An address is no server name (RFC 6066, 3).
        ...(isIP(host) === 0 ? { servername: host } : {}),
        ...trust,
      })
    default:
      return connectTcp({ host, port: Number(url.port || 1883), noDelay: true })
  }
}

function webSocket(url: URL, trust: { readonly ca?: Buffer }): Duplex {
  // Compression would cost each of thousands of devices its own zlib context.
  const socket = new WebSocket(url, ['mqtt'], { perMessageDeflate: false, ...trust })
  const stream = createWebSocketStream(socket)
  // The stream alone would wait for its writing half to end, too.
  socket.on('close', () => stream.destroy())
  // mqtt-packet writes a packet in about five pieces. Without this each is a WebSocket frame and a write of its own.
  stream._writev = (chunks, done) => {
    stream._write(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer)), 'binary', done)
  }
  return stream
}
