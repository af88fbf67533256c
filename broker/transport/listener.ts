import type { Socket } from 'node:net'
import { TLSSocket, type PeerCertificate } from 'node:tls'
import type { LimitsConfig, ListenerConfig } from '../../config/schema.js'
import type { Clock } from '../contract/clock.js'
import type { TransportEvents } from '../contract/events.js'
import type { Service } from '../contract/service.js'
import type { AcceptConnection, ConnectionInfo, SocketSource } from '../contract/transport.js'
import { formatAuthority } from './address.js'
import { Assembler } from './assembler.js'
import type { Channel, ChannelOwner } from './channel.js'
import { Connection, type ConnectionContext } from './connection.js'
import { FlushQueue } from './flush-queue.js'
import type { RequestHandler } from './http-front.js'
import { peerOf } from './peer.js'
import { SocketServer } from './socket-server.js'
import { StreamChannel } from './stream-channel.js'
import { WebSocketEndpoint } from './websocket-endpoint.js'

export interface ListenerDeps {
  readonly acceptConnection: AcceptConnection
  readonly events: TransportEvents
  readonly clock: Clock
  /** Numbers that no other connection of the process has. */
  readonly nextConnectionId: () => number
  readonly limits: Pick<LimitsConfig, 'outboxSoftBytes' | 'outboxHardBytes' | 'packetSize'>
  /** For ws and wss: serves requests that are no upgrade (the dashboard). Without it they get 404. */
  readonly handleRequest?: RequestHandler | undefined
  readonly timeouts?: Partial<TransportTimeouts>
  /** Set where another process listens. */
  readonly source?: SocketSource | undefined
}

/** All in milliseconds. */
export interface TransportTimeouts {
  /** For a PROXY protocol header, for a TLS handshake, and for a whole HTTP request head. */
  readonly handshakeMs: number
  /** For an HTTP request that is no upgrade, to the end of its answer. */
  readonly responseMs: number
  /** For a connection that is being closed: its queued bytes leave, its peer closes. */
  readonly closeMs: number
  /** For `stop`: for all connections together. */
  readonly shutdownMs: number
}

const DEFAULT_TIMEOUTS: TransportTimeouts = {
  handshakeMs: 10_000,
  responseMs: 60_000,
  closeMs: 2_000,
  shutdownMs: 3_000,
}

/** Bytes of one write (over WebSocket: one frame), where the soft limit does not ask for less. */
const MAX_WRITE = 65_536

export interface ListenerAddress {
  readonly host: string
  /** The actual one where the configuration says 0. */
  readonly port: number
  /** `ws://…/mqtt`, `wss://…/mqtt`, `mqtt://…` or `mqtts://…`. */
  readonly url: string
}

/** One listening address of the gateway. `name` is the one of the configuration. */
export class Listener implements Service {
  readonly name: string
  private readonly sockets: SocketServer
  private readonly endpoint: WebSocketEndpoint | undefined
  private readonly timeouts: TransportTimeouts
  private readonly context: ConnectionContext
  private readonly assembler: Assembler
  private readonly open = new Set<Connection>()
  private listening: ListenerAddress | undefined = undefined
  private stopping: Promise<void> | undefined = undefined

  constructor(
    private readonly config: ListenerConfig,
    private readonly deps: ListenerDeps,
  ) {
    const timeouts = { ...DEFAULT_TIMEOUTS, ...deps.timeouts }
    const { events, clock, limits } = deps
    const softLimit = Math.min(limits.outboxSoftBytes, limits.outboxHardBytes)
    this.name = config.name
    this.timeouts = timeouts
    this.assembler = new Assembler(isWebSocket(config))
    this.context = {
      acceptConnection: deps.acceptConnection,
      events,
      clock,
      flushQueue: new FlushQueue(this.assembler.forget),
      softLimit,
      hardLimit: limits.outboxHardBytes,
      writeSize: Math.min(MAX_WRITE, softLimit / 2),
      closeTimeoutMs: timeouts.closeMs,
      onGone: (connection) => this.open.delete(connection),
    }
    this.endpoint = isWebSocket(config)
      ? new WebSocketEndpoint(config, {
          events,
          clock,
          assembler: this.assembler,
          handleRequest: deps.handleRequest,
          headTimeoutMs: timeouts.handshakeMs,
          responseTimeoutMs: timeouts.responseMs,
          packetSize: limits.packetSize,
          connect: (socket, bearerToken, openChannel) => this.connect(socket, bearerToken, openChannel),
        })
      : undefined
    this.sockets = new SocketServer(
      {
        name: config.name,
        host: config.host,
        port: config.port,
        maxConnections: config.maxConnections,
        tls: 'tls' in config ? config.tls : undefined,
        source: deps.source,
        proxyProtocol: config.proxyProtocol,
        handshakeTimeoutMs: timeouts.handshakeMs,
        events,
        clock,
      },
      (socket) => this.accepted(socket),
    )
  }

  /** Rejects with TLS_FILE_INVALID, ADDRESS_IN_USE or ADDRESS_UNAVAILABLE. */
  async start(): Promise<void> {
    const { port, address } = await this.sockets.start()
    const { type } = this.config
    const authority = formatAuthority(address, port)
    const path = isWebSocket(this.config) ? this.config.path : ''
    this.listening = { host: address, port, url: `${SCHEMES[type]}://${authority}${path}` }
    // The process that accepts tells.
    if (this.deps.source === undefined) this.deps.events.listening(this.name, this.listening.url)
  }

  /** Where it listens, or did. Throws before `start` has resolved. */
  address(): ListenerAddress {
    if (this.listening === undefined) throw new Error(`Listener "${this.name}" has not been started.`)
    return this.listening
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.open.size
  }

  /** Closes the listening socket; open connections stay, handshakes that are under way are refused. Idempotent. */
  stopAccepting(): void {
    this.endpoint?.refuseUpgrades()
    this.sockets.stopAccepting()
  }

  stop(): Promise<void> {
    this.stopping ??= this.shutDown()
    return this.stopping
  }

  /** Reads the certificate files again; see `SocketServer.reloadTls`. */
  reloadTls(): Promise<void> {
    return this.sockets.reloadTls()
  }

  private async shutDown(): Promise<void> {
    this.stopAccepting()
    for (const connection of this.open) connection.close('server_shutdown')
    this.endpoint?.closeIdle()
    this.sockets.closeWaiting()
    const deadline = this.deps.clock.schedule(this.timeouts.shutdownMs, () => this.sockets.destroySockets())
    await this.sockets.whenEmpty()
    deadline.cancel()
  }

  private accepted(socket: Socket): void {
    if (this.endpoint !== undefined) {
      this.endpoint.admit(socket)
      return
    }
    this.connect(
      socket,
      undefined,
      (owner) => new StreamChannel(socket, this.assembler, this.deps.events, owner),
    )
  }

  private connect(
    socket: Socket,
    bearerToken: string | undefined,
    openChannel: (owner: ChannelOwner) => Channel,
  ): void {
    const peer = peerOf(socket)
    // Without an address the peer has gone already.
    if (peer === undefined || socket.destroyed) {
      socket.destroy()
      return
    }
    const info: ConnectionInfo = {
      connectionId: this.deps.nextConnectionId(),
      listener: this.name,
      transport: this.config.type,
      remoteAddress: peer.address,
      remotePort: peer.port,
      loopback: peer.loopback,
      bearerToken,
      certificateName: certificateName(socket),
    }
    // Events take the whole object: whoever serializes or prints it does not get the secret.
    Object.defineProperty(info, 'bearerToken', { enumerable: false })
    this.open.add(new Connection(info, openChannel, this.context))
  }
}

const SCHEMES = { ws: 'ws', wss: 'wss', tcp: 'mqtt', tls: 'mqtts' } as const

function isWebSocket(config: ListenerConfig): config is Extract<ListenerConfig, { type: 'ws' | 'wss' }> {
  return config.type === 'ws' || config.type === 'wss'
}

/** Subject common name, where the certificate has been verified and has exactly one. */
function certificateName(socket: Socket): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
  const certificate: Partial<PeerCertificate> = socket.getPeerCertificate()
  const name: unknown = certificate.subject?.CN
  return typeof name === 'string' && name !== '' ? name : undefined
}
