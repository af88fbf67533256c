import { createServer, STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock, Timer } from '../contract/clock.js'
import type { HandshakeRefusal, TransportEvents } from '../contract/events.js'
import type { Refusal } from './handshake.js'
import { peerAddress } from './peer.js'

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

export interface HttpFrontOptions {
  /** Of the listener. */
  readonly name: string
  readonly webSocketPath: string
  /** Serves requests that are no upgrade, other than to the WebSocket path. */
  readonly handleRequest: RequestHandler | undefined
  readonly events: TransportEvents
  readonly clock: Clock
  /** From the first or the last answered request to the whole head of the next one, milliseconds. */
  readonly headTimeoutMs: number
  /** From the head of a request to the end of its answer, milliseconds. */
  readonly responseTimeoutMs: number
}

/** `head`: bytes that came behind the request. */
export type UpgradeHandler = (request: IncomingMessage, head: Buffer) => void

/**
 * The HTTP side of a WebSocket listener: hands on upgrades, and bounds the time that a socket may spend before one.
 * Node's own `headersTimeout` works only for sockets that its server has accepted itself; here the sockets come
 * from the listener (through TLS, or whatever precedes it), each with one deadline.
 */
export class HttpFront {
  private readonly server = createServer((request, response) => this.respond(request, response))
  private readonly waiting = new Map<Socket, Visit>()

  constructor(
    private readonly options: HttpFrontOptions,
    onUpgrade: UpgradeHandler,
  ) {
    this.server.on('upgrade', (request, _socket, head) => onUpgrade(request, head))
    this.server.on('clientError', (error: NodeJS.ErrnoException, socket) => this.clientError(error, socket))
  }

  /** Takes a socket that is ready to be read. */
  admit(socket: Socket): void {
    const onClose = (): void => this.release(socket)
    const deadline = this.deadline(socket, this.options.headTimeoutMs)
    this.waiting.set(socket, { deadline, responding: 0, onClose })
    socket.on('close', onClose)
    this.server.emit('connection', socket)
  }

  /** The socket has become a WebSocket. */
  release(socket: Socket): void {
    const visit = this.waiting.get(socket)
    if (visit === undefined) return
    visit.deadline.cancel()
    socket.removeListener('close', visit.onClose)
    this.waiting.delete(socket)
  }

  /** Answers an upgrade with an error and closes the socket, within the time that it had for its head. */
  refuse(socket: Socket, refusal: Refusal): void {
    this.count(socket, refusal.reason)
    const { status, text, headers = {} } = refusal
    const lines = [
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
      'Connection: close',
      'Content-Type: text/plain; charset=utf-8',
      `Content-Length: ${Buffer.byteLength(text) + 1}`,
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ]
    socket.on('finish', () => socket.destroy())
    socket.end(`${lines.join('\r\n')}\r\n\r\n${text}\n`)
  }

  /** Closes the sockets that wait for a request; those that are being answered may finish. */
  closeIdle(): void {
    for (const [socket, visit] of this.waiting) if (visit.responding === 0) socket.destroy()
  }

  private respond(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request
    const visit = this.waiting.get(socket)
    if (visit !== undefined) this.timeExchange(socket, visit, response)
    const { handleRequest, webSocketPath } = this.options
    const path = request.url?.split('?', 1)[0]
    if (path === webSocketPath) {
      answer(response, 426, 'This is a WebSocket endpoint for MQTT.', { Upgrade: 'websocket' })
    } else if (handleRequest === undefined) {
      answer(response, 404, `There is nothing here. The WebSocket endpoint for MQTT is at ${webSocketPath}.`)
    } else {
      handleRequest(request, response)
    }
  }

  private timeExchange(socket: Socket, visit: Visit, response: ServerResponse): void {
    const { headTimeoutMs, responseTimeoutMs } = this.options
    visit.responding++
    visit.deadline.cancel()
    visit.deadline = this.deadline(socket, responseTimeoutMs)
    response.on('close', () => {
      visit.responding--
      if (visit.responding > 0 || this.waiting.get(socket) !== visit) return
      visit.deadline.cancel()
      visit.deadline = this.deadline(socket, headTimeoutMs, socket.bytesRead)
    })
  }

  /** Closes a socket that is late; one that still has read only `answered` bytes then was kept alive for nothing, and is not. */
  private deadline(socket: Socket, delayMs: number, answered?: number): Timer {
    return this.options.clock.schedule(delayMs, () => {
      if (socket.bytesRead !== answered) this.count(socket, 'handshake_timeout')
      socket.destroy()
    })
  }

  private clientError(error: NodeJS.ErrnoException, socket: Duplex): void {
    // A peer that went away has refused itself.
    if (error.code === 'ECONNRESET' || !socket.writable || !(socket instanceof Socket)) {
      socket.destroy()
      return
    }
    this.refuse(socket, { status: 400, reason: 'bad_request', text: 'This is not an HTTP request.' })
  }

  private count(socket: Socket, reason: HandshakeRefusal): void {
    const { events, name } = this.options
    events.connectionRefused(name, peerAddress(socket), reason)
  }
}

interface Visit {
  deadline: Timer
  /** Requests that are being answered. */
  responding: number
  readonly onClose: () => void
}

function answer(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', ...headers })
  response.end(`${text}\n`)
}
