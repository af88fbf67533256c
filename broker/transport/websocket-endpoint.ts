import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { WebSocketServer } from 'ws'
import type { WebSocketListenerConfig } from '../../config/schema.js'
import type { Clock } from '../contract/clock.js'
import type { TransportEvents } from '../contract/events.js'
import { isLoopbackName } from '../contract/loopback.js'
import type { Assembler } from './assembler.js'
import type { Channel, ChannelOwner } from './channel.js'
import { CompressedChannel } from './compressed-channel.js'
import { chooseSubprotocol, judgeHandshake, type HandshakeRules } from './handshake.js'
import { HttpFront, type RequestHandler } from './http-front.js'
import { WebSocketChannel } from './websocket-channel.js'

export interface WebSocketEndpointDeps {
  readonly events: TransportEvents
  readonly clock: Clock
  readonly assembler: Assembler
  readonly handleRequest: RequestHandler | undefined
  readonly headTimeoutMs: number
  readonly responseTimeoutMs: number
  /** Largest MQTT packet; bounds what a compressed message may inflate to. */
  readonly packetSize: number
  readonly connect: (
    socket: Socket,
    bearerToken: string | undefined,
    openChannel: (owner: ChannelOwner) => Channel,
  ) => void
}

/** A compressed message may hold this many bytes of packets even where a single packet may have fewer. */
const MIN_INFLATED_BYTES = 1_048_576

/** From an HTTP socket to a WebSocket connection. */
export class WebSocketEndpoint {
  private readonly front: HttpFront
  private readonly rules: HandshakeRules
  private readonly compressor: WebSocketServer | undefined
  private stopping = false

  constructor(
    config: WebSocketListenerConfig,
    private readonly deps: WebSocketEndpointDeps,
  ) {
    const { headTimeoutMs, responseTimeoutMs, handleRequest, events, clock } = deps
    this.rules = {
      path: config.path,
      origins: config.origins,
      loopback: isLoopbackName(config.host),
    }
    this.compressor = config.compression ? createCompressor(deps.packetSize) : undefined
    this.front = new HttpFront(
      {
        name: config.name,
        webSocketPath: config.path,
        handleRequest,
        events,
        clock,
        headTimeoutMs,
        responseTimeoutMs,
      },
      (request, head) => this.upgrade(request, head),
    )
  }

  /** Takes a socket that is ready for its first request. */
  admit(socket: Socket): void {
    this.front.admit(socket)
  }

  /** From now on handshakes get 503. */
  refuseUpgrades(): void {
    this.stopping = true
  }

  /** Closes the sockets on which no request is being answered. */
  closeIdle(): void {
    this.front.closeIdle()
  }

  private upgrade(request: IncomingMessage, head: Buffer): void {
    const { front } = this
    const { socket } = request
    if (this.stopping) {
      const text = 'The gateway is shutting down; connect again later.'
      front.refuse(socket, { status: 503, reason: 'shutting_down', text })
      return
    }
    const verdict = judgeHandshake(request, this.rules)
    if (!verdict.accepted) {
      front.refuse(socket, verdict.refusal)
      return
    }
    const { bearerToken, subprotocol, acceptKey } = verdict
    const { assembler, events, connect } = this.deps
    if (this.compressor !== undefined && offersDeflate(request)) {
      this.compressor.handleUpgrade(request, socket, head, (webSocket) => {
        front.release(socket)
        connect(socket, bearerToken, (owner) => new CompressedChannel(webSocket, socket, events, owner))
      })
      return
    }
    front.release(socket)
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        `Sec-WebSocket-Accept: ${acceptKey}\r\nSec-WebSocket-Protocol: ${subprotocol}\r\n\r\n`,
    )
    // Frames may follow the request in the same read.
    if (head.length > 0) socket.unshift(head)
    connect(socket, bearerToken, (owner) => new WebSocketChannel(socket, assembler, events, owner))
  }
}

/** An offer that limits our window further than we do by ourselves goes on without compression. */
function offersDeflate(request: IncomingMessage): boolean {
  const offers = request.headers['sec-websocket-extensions'] ?? ''
  return offers.includes('permessage-deflate') && !offers.includes('server_max_window_bits')
}

/**
 * No context from one message to the next, a window of 4 KiB and little state: by the formulas of zlib a connection
 * that compresses keeps 24 KiB for deflating and, with the client's largest window, 40 KiB for inflating.
 */
function createCompressor(packetSize: number): WebSocketServer {
  return new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: Math.max(MIN_INFLATED_BYTES, packetSize),
    handleProtocols: (offered) => chooseSubprotocol(offered) ?? false,
    perMessageDeflate: {
      serverNoContextTakeover: true,
      clientNoContextTakeover: true,
      serverMaxWindowBits: 12,
      zlibDeflateOptions: { memLevel: 4 },
    },
  })
}
