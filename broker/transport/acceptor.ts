import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { GatewayError } from '../contract/errors.js'
import type { TransportEvents } from '../contract/events.js'
import { formatAuthority, normalizeAddress } from './address.js'

export interface AcceptorOptions {
  /** Of the listener. */
  readonly name: string
  readonly host: string
  readonly port: number
  /** Sockets that are open in this process at a time; further ones are closed. */
  readonly maxConnections: number
  /** Whether a socket outlives the end of its peer's bytes. */
  readonly allowHalfOpen: boolean
  /** Whether sockets are not even read from: for those that another process gets. */
  readonly unread: boolean
  readonly events: Pick<TransportEvents, 'connectionRefused' | 'acceptFailed'>
}

/** Connections that the operating system may hold ready: a reconnecting fleet comes at once. */
const BACKLOG = 4096
/** A peer that is gone without a word is found by the operating system, even with an MQTT keep-alive of 0. */
const KEEP_ALIVE_AFTER_MS = 60_000

/** The listening socket of a listener. */
export class Acceptor {
  private server: Server | undefined = undefined

  constructor(
    private readonly options: AcceptorOptions,
    private readonly onSocket: (socket: Socket) => void,
  ) {}

  /** Rejects with ADDRESS_IN_USE or ADDRESS_UNAVAILABLE, and leaves nothing open then. */
  async start(): Promise<AddressInfo> {
    const { name, host, port, maxConnections, allowHalfOpen, unread, events } = this.options
    const server = createServer(
      {
        allowHalfOpen,
        pauseOnConnect: unread,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: KEEP_ALIVE_AFTER_MS,
      },
      this.onSocket,
    )
    server.maxConnections = maxConnections
    server.on('drop', (dropped) => {
      events.connectionRefused(name, normalizeAddress(dropped?.remoteAddress ?? ''), 'too_many_connections')
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(this.listenError(error)))
      server.listen({ host, port, backlog: BACKLOG }, resolve)
    })
    server.removeAllListeners('error')
    server.on('error', (error) => events.acceptFailed(name, error))
    this.server = server
    return server.address() as AddressInfo
  }

  /** Sockets that have been accepted stay. */
  stop(): void {
    this.server?.close()
    this.server = undefined
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
