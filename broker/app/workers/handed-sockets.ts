import type { Socket } from 'node:net'
import type { Clock, Timer } from '../../contract/clock.js'
import type { SocketSource } from '../../contract/transport.js'
import type { FromWorker } from './protocol.js'

/** Between two reports of connections that have ended, milliseconds. */
const REPORT_MS = 50

/** In a worker: gives the sockets that come from the listening process to the listeners, and tells it what becomes of them. */
export class HandedSockets implements SocketSource {
  private readonly handlers = new Map<string, (socket: Socket) => void>()
  private ended: Record<string, number> = {}
  private reporting: Timer | undefined
  private taken: number[] = []

  constructor(
    private readonly clock: Pick<Clock, 'schedule'>,
    private readonly tell: (message: FromWorker) => void,
  ) {}

  open(listener: string, onSocket: (socket: Socket) => void): void {
    this.handlers.set(listener, onSocket)
  }

  /** `socket`: undefined when the peer was gone before the socket was here. */
  take(listener: string, id: number, socket: Socket | undefined): void {
    if (this.taken.push(id) === 1) setImmediate(() => this.tell({ kind: 'taken', ids: this.taken.splice(0) }))
    const handler = this.handlers.get(listener)
    if (socket === undefined || socket.destroyed || handler === undefined) {
      socket?.destroy()
      this.count(listener)
      return
    }
    socket.once('close', () => this.count(listener))
    handler(socket)
  }

  private count(listener: string): void {
    this.ended[listener] = (this.ended[listener] ?? 0) + 1
    this.reporting ??= this.clock.schedule(REPORT_MS, () => {
      const connections = this.ended
      this.ended = {}
      this.reporting = undefined
      this.tell({ kind: 'closed', connections })
    })
  }
}
