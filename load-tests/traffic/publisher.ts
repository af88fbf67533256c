import type { Connection, ConnectionHandler } from '../client/connection.js'
import type { MessageTemplate } from '../client/message-template.js'
import { PUBACK, PUBCOMP, PUBREC, PUBREL } from '../client/packet-reader.js'
import { monotonicMicros } from '../measure/monotonic.js'

export interface PublisherOptions {
  /** Among the publishers of all workers. */
  readonly number: number
  /** Among those of this worker. */
  readonly place: number
  readonly qos: 0 | 1 | 2
  /** Most messages under way. */
  readonly window: number
  /** Deliveries, in this process, after which a message is done; 0: sending and its acknowledgement are enough. */
  readonly audience: number
}

/** What goes on at the publishers of a worker together. */
export interface PublisherEvents {
  /** One or more messages are done, and there is room for others. */
  room(publisher: Publisher): void
  acknowledged(): void
  refused(): void
  lost(): void
}

/** Sends numbered messages through one connection, and knows which of them are under way. */
export class Publisher implements ConnectionHandler {
  /** Messages sent; the number of the next one. */
  sent = 0
  private underWay = 0
  /** By slot, of the message in it: deliveries and acknowledgement that it waits for; 0: the slot is free. */
  private readonly left: Uint32Array
  private readonly sequences: Uint32Array
  private readonly slotMask: number
  /** Events that make a message done. */
  private readonly events: number

  constructor(
    private readonly connection: Connection,
    private readonly template: MessageTemplate,
    private readonly options: PublisherOptions,
    private readonly observer: PublisherEvents,
  ) {
    this.events = options.audience + (options.qos > 0 ? 1 : 0)
    // Twice the window, so that one message that takes longer than those behind it does not hold them up at once.
    const slots = this.events === 0 ? 1 : 2 ** Math.ceil(Math.log2(options.window * 2))
    this.slotMask = slots - 1
    this.left = new Uint32Array(slots)
    this.sequences = new Uint32Array(slots)
    connection.handler = this
  }

  get number(): number {
    return this.options.number
  }

  get place(): number {
    return this.options.place
  }

  get bytesOut(): number {
    return this.connection.bytesOut
  }

  hasRoom(): boolean {
    if (this.events === 0) return !this.connection.congested
    return this.underWay < this.options.window && this.left[this.sent & this.slotMask] === 0
  }

  /** `micros`: when the message ought to be sent, or is. Only with room. */
  send(micros: number): void {
    const sequence = this.sent++
    const slot = sequence & this.slotMask
    if (this.events > 0) {
      this.left[slot] = this.events
      this.sequences[slot] = sequence
      this.underWay++
    }
    this.connection.sendMessage(this.template, slot + 1, sequence, micros)
  }

  fill(): void {
    const now = monotonicMicros()
    while (this.hasRoom()) this.send(now)
  }

  /** A receiver of this process has got a message for the first time. */
  delivered(sequence: number): void {
    const slot = sequence & this.slotMask
    if (this.options.audience > 0 && this.sequences[slot] === sequence) this.done(slot)
  }

  /** Takes messages under way for lost: QoS 0 has no other sign. */
  giveUp(): void {
    this.left.fill(0)
    this.underWay = 0
  }

  publish(): void {
    // A publisher subscribes to nothing.
  }

  acknowledgement(type: number, packetId: number, reason: number): void {
    if (type === PUBREC && reason < 0x80) {
      this.connection.sendAcknowledgement(PUBREL, packetId)
      return
    }
    if (type !== PUBACK && type !== PUBREC && type !== PUBCOMP) return
    if (reason >= 0x80) {
      this.observer.refused()
      // Nobody will get it.
      this.left[packetId - 1] = Math.min(this.left[packetId - 1] ?? 0, 1)
    } else {
      this.observer.acknowledged()
    }
    this.done(packetId - 1)
  }

  lost(): void {
    this.observer.lost()
  }

  private done(slot: number): void {
    const left = this.left[slot] ?? 0
    if (left === 0) return
    this.left[slot] = left - 1
    if (left > 1) return
    this.underWay--
    this.observer.room(this)
  }
}
