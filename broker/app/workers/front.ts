import type { ListenerConfig } from '../../../config/schema.js'
import type { TransportEvents } from '../../contract/events.js'
import { Acceptor } from '../../transport/acceptor.js'
import { formatAuthority, normalizeAddress } from '../../transport/address.js'
import type { WorkerPool } from './pool.js'

/** The listening sockets of a node with workers: each connection goes to a worker before a byte of it is read. */
export class Front {
  private readonly acceptors: Acceptor[] = []

  constructor(
    private readonly listeners: readonly ListenerConfig[],
    private readonly pool: Pick<WorkerPool, 'hand' | 'connections'>,
    private readonly events: TransportEvents,
  ) {}

  /** Rejects with ADDRESS_IN_USE or ADDRESS_UNAVAILABLE, and leaves nothing open then. */
  async start(): Promise<void> {
    try {
      for (const listener of this.listeners) await this.listen(listener)
    } catch (error) {
      this.stopAccepting()
      throw error
    }
  }

  /** Connections that workers have stay. */
  stopAccepting(): void {
    for (const acceptor of this.acceptors.splice(0)) acceptor.stop()
  }

  private async listen(listener: ListenerConfig): Promise<void> {
    const { name, host, port, maxConnections } = listener
    const { events, pool } = this
    const bounds = { maxConnections: Infinity, allowHalfOpen: true, unread: true }
    const acceptor = new Acceptor({ name, host, port, ...bounds, events }, (socket) => {
      // A reset may come while it waits for its worker.
      socket.on('error', () => socket.destroy())
      if (pool.connections(name) < maxConnections && pool.hand(name, socket)) return
      events.connectionRefused(name, normalizeAddress(socket.remoteAddress ?? ''), 'too_many_connections')
      socket.destroy()
    })
    this.acceptors.push(acceptor)
    const { address, port: actual } = await acceptor.start()
    events.listening(name, formatAuthority(address, actual))
  }
}
