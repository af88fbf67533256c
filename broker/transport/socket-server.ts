import type { AddressInfo, Socket } from 'node:net'
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from 'node:tls'
import type { ProxyProtocolConfig, TlsConfig } from '../../config/schema.js'
import type { Clock } from '../contract/clock.js'
import type { HandshakeRefusal, TransportEvents } from '../contract/events.js'
import type { SocketSource } from '../contract/transport.js'
import { Acceptor } from './acceptor.js'
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
  /** Set: another process listens, and counts; `host`, `port` and `maxConnections` are its business. */
  readonly source: SocketSource | undefined
  /** Set: each connection begins with a header of the PROXY protocol. */
  readonly proxyProtocol: ProxyProtocolConfig | undefined
  /** For the PROXY protocol header, and for the TLS handshake behind it, milliseconds. */
  readonly handshakeTimeoutMs: number
  readonly events: TransportEvents
  readonly clock: Clock
}

/**
 * Takes sockets through PROXY protocol and TLS where configured. What comes out is a socket with an error listener,
 * half-open: answers that are on their way still reach a peer that has finished sending.
 */
export class SocketServer {
  private acceptor: Acceptor | undefined = undefined
  private accepting = true
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
  async start(): Promise<Pick<AddressInfo, 'address' | 'port'>> {
    const { name, host, port, tls, source } = this.options
    if (tls !== undefined) this.tlsServer = await this.createTls(tls)
    if (source !== undefined) {
      source.open(name, (socket) => this.handedOver(socket))
      return { address: host, port }
    }
    const acceptor = new Acceptor(
      { ...this.options, allowHalfOpen: tls === undefined, unread: false },
      (socket) => this.accepted(socket),
    )
    const address = await acceptor.start()
    this.acceptor = acceptor
    return address
  }

  /** Reads the certificate files again, for the handshakes to come. Rejects with TLS_FILE_INVALID; the old ones stay. */
  async reloadTls(): Promise<void> {
    const { name, tls } = this.options
    if (tls !== undefined) this.tlsServer?.setSecureContext(await loadTls(name, tls))
  }

  /** Takes no new connections; those that are open stay. */
  stopAccepting(): void {
    this.accepting = false
    this.acceptor?.stop()
    this.acceptor = undefined
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

  private handedOver(socket: Socket): void {
    // It was under way when this process had enough.
    if (!this.accepting) {
      socket.destroy()
      return
    }
    socket.allowHalfOpen = this.tlsServer === undefined
    this.accepted(socket)
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
}

/** Names an open TCP connection of this process. */
function endsOf({ localAddress, localPort, remoteAddress, remotePort }: Socket): string {
  return `${localAddress}:${localPort} ${remoteAddress}:${remotePort}`
}

/** What an error means is said by the `close` that follows it; without a listener it would end the process. */
function ignore(): void {
  // Nothing is left to do.
}
