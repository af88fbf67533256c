import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from 'node:tls'
import type { ProxyProtocolConfig, TlsConfig } from '../../config/schema.js'
import type { Clock } from '../contract/clock.js'
import { GatewayError } from '../contract/errors.js'
import type { HandshakeRefusal, TransportEvents } from '../contract/events.js'
import { formatAuthority, normalizeAddress } from './address.js'
import { peerAddress, setPeer, type Peer } from './peer.js'
import { ProxyGate } from './proxy-gate.js'
import { loadTls } from './tls-context.js'

export interface SocketServerOptions {
  /** Of the listener. */
  readonly name: string
  readonly host: string
  readonly port: number
  readonly maxConnections: number
  readonly tls: TlsConfig | undefined
  /** Set: each connection begins with a header of the PROXY protocol. */
  readonly proxyProtocol: ProxyProtocolConfig | undefined
  /** For the PROXY protocol header, and for the TLS handshake behind it, milliseconds. */
  readonly handshakeTimeoutMs: number
  readonly events: TransportEvents
  readonly clock: Clock
}

/** Connections that the operating system may hold ready: a reconnecting fleet comes at once. */
const BACKLOG = 4096
/** A peer that is gone without a word is found by the operating system, even with an MQTT keep-alive of 0. */
const KEEP_ALIVE_AFTER_MS = 60_000

/**
 * Accepts sockets, up to a number, and takes them through PROXY protocol and TLS where configured. What comes out is a socket
 * with an error listener, half-open: answers that are on their way still reach a peer that has finished sending.
 */
export class SocketServer {
  private server: Server | undefined = undefined
  private tlsServer: TlsServer | undefined = undefined
  private readonly gate: ProxyGate | undefined
  private readonly sockets = new Set<Socket>()
  /** What proxies have said of sockets in their TLS handshake, by both ends of the TCP connection. */
  private readonly peers = new Map<string, Peer>()
  private onEmpty: (() => void) | undefined = undefined

  constructor(
    private readonly options: SocketServerOptions,
    /** Gets each socket that is ready to be read, after the TLS handshake. */
    private readonly onSocket: (socket: Socket | TLSSocket) => void,
  ) {
    const { proxyProtocol, clock, handshakeTimeoutMs } = options
    if (proxyProtocol === undefined) return
    this.gate = new ProxyGate(
      {
        trusted: proxyProtocol.trusted,
        clock,
        timeoutMs: handshakeTimeoutMs,
        onRefused: (address, reason) => this.refused(address, reason),
      },
      (socket, peer) => this.introduced(socket, peer),
    )
  }

  /** Rejects with TLS_FILE_INVALID, ADDRESS_IN_USE or ADDRESS_UNAVAILABLE, and leaves nothing open then. */
  async start(): Promise<AddressInfo> {
    const { host, port, maxConnections, tls } = this.options
    if (tls !== undefined) this.tlsServer = await this.createTls(tls)
    const server = createServer(
      {
        allowHalfOpen: tls === undefined,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: KEEP_ALIVE_AFTER_MS,
      },
      (socket) => this.accepted(socket),
    )
    server.maxConnections = maxConnections
    server.on('drop', (dropped) => {
      this.refused(normalizeAddress(dropped?.remoteAddress ?? ''), 'too_many_connections')
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(this.listenError(error)))
      server.listen({ host, port, backlog: BACKLOG }, resolve)
    })
    server.removeAllListeners('error')
    server.on('error', (error) => this.options.events.acceptFailed(this.options.name, error))
    this.server = server
    return server.address() as AddressInfo
  }

  /** Reads the certificate files again, for the handshakes to come. Rejects with TLS_FILE_INVALID; the old ones stay. */
  async reloadTls(): Promise<void> {
    const { name, tls } = this.options
    if (tls !== undefined) this.tlsServer?.setSecureContext(await loadTls(name, tls))
  }

  /** Takes no new connections; those that are open stay. */
  stopAccepting(): void {
    this.server?.close()
    this.server = undefined
  }

  /** Resolves when no socket is open any more. */
  whenEmpty(): Promise<void> {
    if (this.sockets.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.onEmpty = resolve
    })
  }

  /** Closes the sockets whose PROXY protocol header has not come yet. */
  closeWaiting(): void {
    this.gate?.closeWaiting()
  }

  destroySockets(): void {
    for (const socket of this.sockets) socket.destroy()
  }

  private accepted(socket: Socket): void {
    socket.on('error', ignore)
    this.sockets.add(socket)
    socket.on('close', () => {
      this.sockets.delete(socket)
      if (this.sockets.size === 0) this.onEmpty?.()
    })
    // The first bytes are still unread here: what precedes TLS, HTTP and MQTT on a socket is read at this place.
    if (this.gate === undefined) this.ready(socket)
    else this.gate.admit(socket)
  }

  private introduced(socket: Socket, peer: Peer): void {
    if (this.tlsServer !== undefined) {
      const key = endsOf(socket)
      this.peers.set(key, peer)
      socket.on('close', () => this.peers.delete(key))
    }
    this.ready(socket)
  }

  private ready(socket: Socket): void {
    if (this.tlsServer === undefined) this.onSocket(socket)
    else this.tlsServer.emit('connection', socket)
  }

  private async createTls(tls: TlsConfig): Promise<TlsServer> {
    const { name, handshakeTimeoutMs } = this.options
    const server = createTlsServer({
      ...(await loadTls(name, tls)),
      requestCert: tls.clientCert !== 'none',
      rejectUnauthorized: tls.clientCert === 'required',
      handshakeTimeout: handshakeTimeoutMs,
    })
    server.on('secureConnection', (socket) => {
      socket.on('error', ignore)
      // Not before: a peer that ends within the handshake would be waited for until its time is up.
      socket.allowHalfOpen = true
      this.identify(socket)
      this.onSocket(socket)
    })
    server.on('tlsClientError', (_error, socket) => {
      this.identify(socket)
      this.refused(peerAddress(socket), 'tls_handshake')
      socket.destroy()
    })
    return server
  }

  /** The socket that TLS has made is another object than the one that it stands on. */
  private identify(socket: TLSSocket): void {
    const peer = this.gate === undefined ? undefined : this.peers.get(endsOf(socket))
    if (peer !== undefined) setPeer(socket, peer)
  }

  private refused(address: string, reason: HandshakeRefusal): void {
    this.options.events.connectionRefused(this.options.name, address, reason)
  }

  private listenError(error: NodeJS.ErrnoException): GatewayError {
    const { name, host, port } = this.options
    const where = formatAuthority(host, port)
    if (error.code === 'EADDRINUSE') {
      return new GatewayError('ADDRESS_IN_USE', `Listener "${name}": ${where} is in use.`, {
        hint: 'Stop the program that listens there, or give the listener another port.',
        cause: error,
      })
    }
    const hint =
      error.code === 'EACCES'
        ? 'Ports below 1024 need rights that this user does not have; choose a higher one.'
        : 'Set the host of the listener to an address of this machine, or to 0.0.0.0 or :: for all of them.'
    return new GatewayError(
      'ADDRESS_UNAVAILABLE',
      `Listener "${name}" cannot listen on ${where} (${error.message}).`,
      { hint, cause: error },
    )
  }
}

/** Names an open TCP connection of this process. */
function endsOf({ localAddress, localPort, remoteAddress, remotePort }: Socket): string {
  return `${localAddress}:${localPort} ${remoteAddress}:${remotePort}`
}

/** What an error means is said by the `close` that follows it; without a listener it would end the process. */
function ignore(): void {
  // Nothing is left to do.
}
