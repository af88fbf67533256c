import type { Message } from '../contract/message.js'
import type { FrameWriter } from '../contract/port-frame.js'
import type { Delivery, Subscriber } from '../contract/subscription.js'

export interface BridgeBounds {
  /** Messages that may wait for a pipeline. */
  readonly messages: number
  /** Their topics and payloads, bytes (topics in UTF-16 units). */
  readonly bytes: number
}

export const bridgeBounds: BridgeBounds = { messages: 10_000, bytes: 8_388_608 }

export interface SubscriptionHost {
  /** The frame of this tick. */
  write(): FrameWriter
  /** Messages were dropped: `takeDropped` is to be called at the end of the tick. */
  dropped(): void
}

/**
 * One pipeline's subscription. Messages go out while the pipeline has granted credit, and wait in order while it has
 * not.
 *
 * What does not fit is dropped and counted, the newest first, since what waits is older and its windows are still
 * open. QoS 0 fits up to the bounds, QoS 1 up to twice the bounds, so that a flood of QoS 0 never displaces it.
 * QoS 1 messages that were sent are kept until they are settled, and sent again to the next worker when one dies; of
 * these, too, no more than the bounds are kept, and the oldest give way. Nothing here outlives the process.
 */
export class BridgeSubscription implements Subscriber {
  readonly durable = false
  readonly online = true

  private channel: number | undefined
  private creditMessages = 0
  private creditBytes = 0
  private readonly waiting = new Fifo()
  private readonly sent = new Fifo()
  /** Of the newest message in `sent`; consecutive. */
  private lastToken = 0
  private droppedCount = 0
  private finishing = false

  constructor(
    readonly clientId: string,
    readonly filter: string,
    readonly qos: 0 | 1,
    private readonly bounds: BridgeBounds,
    private readonly host: SubscriptionHost,
  ) {}

  get maxUnsettled(): number {
    return this.bounds.messages
  }

  deliver(message: Message, delivery: Delivery): void {
    const qos = delivery.qos === 0 ? 0 : 1
    if (this.waiting.length === 0 && this.hasCredit) {
      this.send(message, qos)
      return
    }
    const room = qos === 0 ? 1 : 2
    if (
      this.waiting.length >= this.bounds.messages * room ||
      this.waiting.bytes >= this.bounds.bytes * room
    ) {
      this.droppedCount++
      this.host.dropped()
    } else this.waiting.push(message.own(), qos)
  }

  /** An end has subscribed: what the former one had not settled comes first. Nothing is sent before credit is granted. */
  join(channel: number): void {
    this.leave()
    this.channel = channel
  }

  leave(): void {
    this.channel = undefined
    this.creditMessages = 0
    this.creditBytes = 0
    this.waiting.prepend(this.sent)
  }

  grant(messages: number, bytes: number): void {
    this.creditMessages += messages
    this.creditBytes += bytes
    while (this.hasCredit) {
      const next = this.waiting.shift()
      if (next === undefined) break
      this.send(next.message, next.qos)
    }
    this.sayFinished()
  }

  /** Nothing more comes from the router: says so when everything before has been sent. */
  finish(): void {
    this.finishing = true
    this.sayFinished()
  }

  settle(token: number): void {
    const firstToken = this.lastToken - this.sent.length + 1
    for (let settled = firstToken; settled <= token; settled++) this.sent.shift()
  }

  /** Messages dropped since the last call. */
  takeDropped(): number {
    const count = this.droppedCount
    this.droppedCount = 0
    return count
  }

  private sayFinished(): void {
    if (!this.finishing || this.waiting.length > 0 || this.channel === undefined) return
    this.finishing = false
    this.host.write().unsubscribed(this.channel)
  }

  private get hasCredit(): boolean {
    return this.channel !== undefined && this.creditMessages > 0 && this.creditBytes > 0
  }

  private send(message: Message, qos: 0 | 1): void {
    this.creditMessages--
    this.creditBytes -= sizeOf(message)
    let token = 0
    if (qos === 1) {
      token = ++this.lastToken
      this.sent.push(message.own(), qos)
      while (this.sent.length > this.bounds.messages || this.sent.bytes > this.bounds.bytes) this.sent.shift()
    }
    this.host.write().message(this.channel ?? 0, token, message.receivedAt, message.topic, message.payload)
  }
}

interface Entry {
  readonly message: Message
  readonly qos: 0 | 1
}

/** Messages in order, with their size. Shifting moves an index; the spent part is cut off when it is the larger one. */
class Fifo {
  private entries: (Entry | undefined)[] = []
  private head = 0
  private size = 0

  get length(): number {
    return this.entries.length - this.head
  }

  get bytes(): number {
    return this.size
  }

  push(message: Message, qos: 0 | 1): void {
    this.entries.push({ message, qos })
    this.size += sizeOf(message)
  }

  shift(): Entry | undefined {
    const entry = this.entries[this.head]
    if (entry === undefined) return undefined
    this.entries[this.head++] = undefined
    this.size -= sizeOf(entry.message)
    if (this.head > 256 && this.head * 2 > this.entries.length) {
      this.entries = this.entries.slice(this.head)
      this.head = 0
    }
    return entry
  }

  /** Puts the entries of another one in front, and empties that. */
  prepend(other: Fifo): void {
    if (other.length === 0) return
    this.entries = [...other.entries.slice(other.head), ...this.entries.slice(this.head)]
    this.head = 0
    this.size += other.size
    other.entries = []
    other.head = 0
    other.size = 0
  }
}

/** What a message costs against a bound; both ends of the port count it alike. */
function sizeOf(message: Message): number {
  return message.topic.length + message.payload.length
}
