import type { GatewayError } from '../contract/errors.js'
import type { Message } from '../contract/message.js'
import type { QueueEntry } from '../contract/store.js'
import type { Delivery } from '../contract/subscription.js'
import type { DeliveryQueue } from './delivery-queue.js'

/** Payload bytes taken from the queue at a time. */
const READ_BYTES = 1 << 20

/** Packet identifiers are 1 to 65,535 (MQTT 5, 2.2.1). */
const PACKET_IDS = 65_535

/** Entries taken at a time when the queue is emptied. */
const DISCARD_MESSAGES = 1_000

/** What a receiver has settled: the message of QoS 1; of QoS 2 nothing is kept behind PUBREC. */
export interface Settled {
  readonly message: Message | undefined
}

/** What sends the packets: the connection. */
export interface DeliveryLink {
  /** Sends a PUBLISH; false when this message is not for this receiver (too large, expired, denied): it is settled. */
  sendPublish(message: Message, delivery: Delivery, packetId: number, dup: boolean): boolean
  sendPubRel(packetId: number, reasonCode: number): void
  /** All that was in the queue has been sent. */
  caughtUp(): void
  /** Whether the socket takes more. */
  readonly writable: boolean
  /** The queue cannot be read or written: the connection has to end, the messages stay. */
  failed(error: Error): void
}

export interface DeliveryOptions {
  /** Receive Maximum of the client, bounded by ours [MQTT-3.3.4-9]. */
  readonly window: number
  /** Last sequence number that needs no delivery any more. */
  readonly settledUpTo: number
  /** Entries up to this one may have been sent on an earlier connection: DUP is set [MQTT-3.3.1-1]. */
  readonly maybeSentUpTo: number
  /**
   * Entries up to this one have been sent on an earlier connection: expiry does not stop them [MQTT-4.3.3-7]. Not
   * those that a former process may have sent: it may also have sent none of them, and then they must not come
   * late [MQTT-3.3.2-5].
   */
  readonly sentUpTo: number
}

type InflightState = 'published' | 'releasing' | 'released'

interface Inflight {
  readonly sequence: number
  readonly qos: 1 | 2
  state: InflightState
  readonly message: Message | undefined
  readonly delivery: Delivery
}

/**
 * QoS 1 and 2 towards one client (MQTT 5, 4.3, 4.4, 4.6 and 4.9).
 *
 * The queue is the truth; a live message only saves reading it back. It is sent at once when it is the next one
 * in sequence and the window is open, otherwise it is read from the queue when its turn comes. The packet
 * identifier follows from the sequence number, so that a resumed session uses the same ones again without having
 * written them down [MQTT-4.4.0-1].
 */
export class Deliveries {
  private readonly inflight = new Map<number, Inflight>()
  private cursor: number
  private latest: number
  /** Nothing waits in the queue. */
  private upToDate = false
  private reading = false
  /** Read and not sent: the packet identifier of the first one is still in use. */
  private held: readonly QueueEntry[] = []
  private closed = false

  constructor(
    private readonly queue: DeliveryQueue,
    private readonly link: DeliveryLink,
    private readonly options: DeliveryOptions,
  ) {
    this.cursor = options.settledUpTo
    this.latest = options.settledUpTo
  }

  /** Sends what waits in the queue, as far as the window is open. */
  resume(): void {
    this.pump()
  }

  /**
   * Offers the live copy of the queue entry `sequence`. True: it was sent (or needs no sending). False: it has to
   * wait in the queue; call `resume` once it is there.
   */
  offer(sequence: number, message: Message, delivery: Delivery): boolean {
    if (sequence <= this.cursor) return true
    if (
      this.upToDate &&
      sequence === this.cursor + 1 &&
      this.open &&
      !this.inflight.has(packetIdOf(sequence))
    ) {
      this.cursor = sequence
      this.latest = sequence
      this.transmit(sequence, message, delivery)
      return true
    }
    this.latest = Math.max(this.latest, sequence)
    this.upToDate = false
    return false
  }

  /** PUBACK. Undefined: no such QoS 1 delivery. */
  acknowledged(packetId: number): Settled | undefined {
    const entry = this.inflight.get(packetId)
    if (entry?.qos !== 1) return undefined
    this.settle(packetId, entry)
    return { message: entry.message }
  }

  /** PUBREC. False: no such QoS 2 delivery. A reason code of 0x80 or above ends it [MQTT-4.3.3-4]. */
  received(packetId: number, reasonCode: number): boolean {
    const entry = this.inflight.get(packetId)
    if (entry?.qos !== 2) return false
    if (reasonCode >= 0x80) {
      this.settle(packetId, entry)
      return true
    }
    if (entry.state === 'released') {
      this.link.sendPubRel(packetId, 0)
      return true
    }
    if (entry.state === 'releasing') return true
    entry.state = 'releasing'
    // Written down before PUBREL goes out: a resumed session that sent the PUBLISH again would be delivering twice.
    this.queue.release(entry.sequence, (error) => {
      if (this.closed) return
      if (error !== undefined) {
        this.fail(error)
        return
      }
      entry.state = 'released'
      this.link.sendPubRel(packetId, 0)
    })
    return true
  }

  /** PUBCOMP. Undefined: no such delivery. */
  completed(packetId: number): Settled | undefined {
    const entry = this.inflight.get(packetId)
    if (entry?.state !== 'released') return undefined
    this.settle(packetId, entry)
    return { message: undefined }
  }

  /** Settles what waits in the queue without sending it; what is under way goes on. */
  async discardWaiting(): Promise<void> {
    for (;;) {
      const entries = await this.queue.read(this.cursor, { messages: DISCARD_MESSAGES, bytes: READ_BYTES })
      if (entries.length === 0 || this.closed) break
      for (const { sequence } of entries) {
        if (sequence <= this.cursor) continue
        this.cursor = sequence
        this.queue.settle(sequence, this.onSettled)
      }
    }
    this.pump()
  }

  /** Something may have been queued that was not offered. */
  lookAgain(): void {
    this.upToDate = false
    this.pump()
  }

  /** The socket takes bytes again. */
  drained(): void {
    this.pump()
  }

  /** Nothing is sent any more. Returns what was sent and not settled, in order. */
  close(): { readonly sentUpTo: number; readonly unsettled: readonly QueueEntry[] } {
    this.closed = true
    const unsettled = [...this.inflight.values(), ...this.held]
    this.inflight.clear()
    this.held = []
    return { sentUpTo: this.cursor, unsettled }
  }

  /** Whether nothing waits in the queue to be sent. */
  get caughtUp(): boolean {
    return this.upToDate
  }

  get inflightCount(): number {
    return this.inflight.size
  }

  private get open(): boolean {
    return this.inflight.size < this.options.window && this.link.writable
  }

  private pump(): void {
    while (!this.upToDate && !this.reading && !this.closed && this.open) {
      const target = this.latest
      const limit = {
        messages: this.options.window - this.inflight.size,
        bytes: READ_BYTES,
        startedUpTo: this.options.sentUpTo,
      }
      const entries = this.held.length > 0 ? this.held : this.queue.read(this.cursor, limit)
      if (entries instanceof Promise) {
        this.reading = true
        entries.then(
          (read) => {
            this.reading = false
            if (this.take(read, target)) this.pump()
          },
          (error: unknown) => {
            this.reading = false
            this.fail(error instanceof Error ? error : new Error(String(error)))
          },
        )
        return
      }
      if (!this.take(entries, target)) return
    }
  }

  /** False: there is no use in reading on now. */
  private take(entries: readonly QueueEntry[], target: number): boolean {
    if (this.closed) return false
    if (entries.length === 0) {
      // What was announced up to `target` has expired or was evicted.
      this.cursor = Math.max(this.cursor, target)
      this.upToDate = this.latest <= this.cursor
      if (this.upToDate) this.link.caughtUp()
      return !this.upToDate
    }
    this.held = []
    for (const [i, { sequence, message, delivery }] of entries.entries()) {
      if (sequence <= this.cursor) continue
      // The identifier is still in use by the delivery 65,535 places ahead: its acknowledgement pumps again. A queue
      // in memory hands out each entry once.
      if (this.inflight.has(packetIdOf(sequence))) {
        this.held = entries.slice(i)
        return false
      }
      this.cursor = sequence
      if (message === undefined) this.releaseAgain(sequence, delivery)
      else this.transmit(sequence, message, delivery)
    }
    return true
  }

  private transmit(sequence: number, message: Message, delivery: Delivery): void {
    const packetId = packetIdOf(sequence)
    const qos = delivery.qos === 2 ? 2 : 1
    const dup = sequence <= this.options.maybeSentUpTo
    // Registered first: the acknowledgement may come while the write is still on the stack of a test's socket.
    this.inflight.set(packetId, { sequence, qos, state: 'published', message, delivery })
    if (this.link.sendPublish(message, delivery, packetId, dup)) return
    this.inflight.delete(packetId)
    this.queue.settle(sequence, this.onSettled)
  }

  private releaseAgain(sequence: number, delivery: Delivery): void {
    const packetId = packetIdOf(sequence)
    this.inflight.set(packetId, { sequence, qos: 2, state: 'released', message: undefined, delivery })
    this.link.sendPubRel(packetId, 0)
  }

  private settle(packetId: number, entry: Inflight): void {
    this.inflight.delete(packetId)
    this.queue.settle(entry.sequence, this.onSettled)
    this.pump()
  }

  private readonly onSettled = (error: GatewayError | undefined): void => {
    if (error !== undefined && !this.closed) this.fail(error)
  }

  private fail(error: Error): void {
    if (!this.closed) this.link.failed(error)
  }
}

function packetIdOf(sequence: number): number {
  return ((sequence - 1) % PACKET_IDS) + 1
}
