import type { Clock, Timer } from '../contract/clock.js'
import type { TransportEvents } from '../contract/events.js'
import type {
  AcceptConnection,
  CloseCause,
  ConnectionHandler,
  ConnectionInfo,
  Outbox,
} from '../contract/transport.js'
import type { Channel, ChannelOwner } from './channel.js'
import type { FlushQueue } from './flush-queue.js'
import { OutboxQueue } from './outbox-queue.js'

export interface ConnectionContext {
  readonly acceptConnection: AcceptConnection
  readonly events: TransportEvents
  readonly clock: Clock
  readonly flushQueue: FlushQueue
  /** See `Outbox.send`; compared with the bytes that wait and 64 more for each entry. */
  readonly softLimit: number
  readonly hardLimit: number
  /**
   * Bytes of one write, unless a single entry has more: what is in the socket can no longer be dropped, so that a
   * slow peer is to hold little there. At most half of the soft limit.
   */
  readonly writeSize: number
  /** Time for what is queued to leave and for the peer to close, milliseconds. */
  readonly closeTimeoutMs: number
  /** The connection is gone. */
  readonly onGone: (connection: Connection) => void
}

/** One connection: the outbox towards the session, the owner of its channel towards the socket. */
export class Connection implements Outbox, ChannelOwner {
  private readonly queue = new OutboxQueue()
  private readonly channel: Channel
  private readonly handler: ConnectionHandler
  private scheduled = false
  /** The socket does not take more until `writable`. */
  private blocked = false
  /** Bytes that the socket held when it was blocked. */
  private inSocket = 0
  private overSoftLimit = false
  private paused = false
  /** Set once: the connection is closing. */
  private cause: CloseCause | undefined = undefined
  private ended = false
  private deadline: Timer | undefined = undefined

  constructor(
    readonly info: ConnectionInfo,
    openChannel: (owner: ChannelOwner) => Channel,
    private readonly context: ConnectionContext,
  ) {
    this.channel = openChannel(this)
    context.events.connectionOpened(info)
    this.handler = this.accept()
  }

  // Outbox, called by the session.

  send(bytes: Buffer, droppable: boolean): void {
    if (this.cause !== undefined || bytes.length === 0) return
    this.queue.push(bytes, droppable)
    if (this.queue.weight + this.inSocket > this.context.softLimit) this.relieve()
    else if (this.blocked) return
    else if (this.queue.bytes >= this.context.writeSize) this.flush()
    else this.scheduleFlush()
  }

  get pendingBytes(): number {
    return this.queue.bytes + this.channel.bufferedBytes
  }

  get congested(): boolean {
    return this.overSoftLimit
  }

  pause(): void {
    if (this.paused || this.cause !== undefined) return
    this.paused = true
    this.channel.pause()
  }

  resume(): void {
    if (!this.paused) return
    this.paused = false
    this.channel.resume()
  }

  close(cause: CloseCause): void {
    if (this.cause !== undefined) return
    this.cause = cause
    // What a receiver that is too slow has not read it will not read now either.
    if (cause === 'slow_receiver') this.queue.clear()
    // Read on, and discard: closing with unread bytes would reset the connection under what is being sent.
    this.resume()
    this.deadline = this.context.clock.schedule(this.context.closeTimeoutMs, () => this.channel.destroy())
    this.scheduleFlush()
  }

  // ChannelOwner, called by the channel.

  received(bytes: Buffer, start: number, end: number): void {
    if (this.cause !== undefined) return
    try {
      this.handler.received(bytes, start, end)
    } catch (error) {
      this.defect(error)
    }
  }

  writable(): void {
    if (!this.blocked) return
    this.blocked = false
    this.inSocket = 0
    this.flush()
  }

  ending(cause: CloseCause): void {
    this.close(cause)
  }

  failed(cause: CloseCause): void {
    this.cause ??= cause
    this.ended = true
    this.queue.clear()
  }

  gone(): void {
    this.deadline?.cancel()
    this.queue.clear()
    this.cause ??= 'peer_closed'
    this.ended = true
    this.context.onGone(this)
    this.context.events.connectionClosed(this.info, this.cause)
    try {
      this.handler.closed(this.cause)
    } catch (error) {
      this.defect(error)
    }
  }

  /** Called by the flush queue once a turn, by `send` for large amounts, and when the socket drains. */
  flush(): void {
    this.scheduled = false
    while (!this.blocked && this.queue.length > 0) {
      const before = this.queue.bytes
      const batch = this.queue.take(this.context.writeSize)
      if (!this.channel.write(batch, before - this.queue.bytes)) this.block()
    }
    if (this.cause !== undefined) this.endWhenEmpty()
    else this.judgeCongestion()
  }

  private block(): void {
    this.blocked = true
    this.inSocket = this.channel.bufferedBytes
  }

  private scheduleFlush(): void {
    if (this.scheduled) return
    this.scheduled = true
    this.context.flushQueue.add(this)
  }

  /** More than the soft limit waits: first the socket is asked, then droppable entries go, then the connection. */
  private relieve(): void {
    if (!this.blocked) this.flush()
    const { softLimit, hardLimit, events } = this.context
    const before = this.queue.bytes
    const dropped = this.queue.shed(softLimit - this.inSocket)
    if (dropped > 0) events.outboxDropped(this.info, dropped, before - this.queue.bytes)
    this.overSoftLimit = this.weight > softLimit
    if (this.weight > hardLimit) this.close('slow_receiver')
  }

  private get weight(): number {
    return this.queue.weight + this.inSocket
  }

  private judgeCongestion(): void {
    const was = this.overSoftLimit
    this.overSoftLimit = this.weight > this.context.softLimit
    if (!was || this.overSoftLimit) return
    try {
      this.handler.drained()
    } catch (error) {
      this.defect(error)
    }
  }

  private endWhenEmpty(): void {
    if (this.ended || this.queue.length > 0) return
    this.ended = true
    if (this.cause !== undefined) this.channel.end(this.cause)
  }

  private accept(): ConnectionHandler {
    try {
      return this.context.acceptConnection(this.info, this)
    } catch (error) {
      this.defect(error)
      return nobody
    }
  }

  /** A handler does not throw. If one does, it is a defect of that connection alone: the others go on. */
  private defect(error: unknown): void {
    this.context.events.handlerFailed(this.info, error)
    this.close('internal_error')
  }
}

const nobody: ConnectionHandler = { received: () => {}, drained: () => {}, closed: () => {} }
