import type { Arrival } from './durable-client.js'

/** Messages of one publisher to one topic carry the numbers 0, 1, 2 ... */
export interface Stream {
  readonly publisher: string
  readonly topic: string
  readonly qos: 1 | 2
  sent: number
  acknowledged: number
}

interface Receipt {
  /** The number that has to come next: every one before it has arrived. */
  next: number
  /** Copies without DUP beyond the first, by number. */
  readonly repeated: Map<number, number>
}

/**
 * What a durable subscriber must see: each stream that it is subscribed to, whole and in order. At QoS 2 each
 * message once; at QoS 1 a copy is a redelivery with DUP, or the publisher itself has sent the message again.
 */
export class Receipts {
  private readonly byTopic = new Map<string, Receipt>()
  readonly faults: string[] = []
  received = 0

  constructor(
    readonly subscriber: string,
    /** Granted to the stream by the subscriber's filters; undefined: none of them matches. */
    private readonly qosOf: (stream: Stream) => 1 | 2 | undefined,
    private readonly streams: ReadonlyMap<string, Stream>,
  ) {}

  arrived({ topic, payload, qos, dup }: Arrival): void {
    const stream = this.streams.get(topic)
    const granted = stream === undefined ? undefined : this.qosOf(stream)
    if (stream === undefined || granted === undefined) {
      this.fault(`${topic} is not subscribed`)
      return
    }
    const expectedQos = Math.min(stream.qos, granted)
    if (qos !== expectedQos) this.fault(`${topic} came with QoS ${qos} instead of ${expectedQos}`)
    this.received++
    const receipt = this.receiptOf(topic)
    const number = Number.parseInt(payload.toString(), 10)
    if (number === receipt.next) {
      receipt.next++
    } else if (number > receipt.next) {
      this.fault(`${topic}: ${number} came where ${receipt.next} had to`)
      receipt.next = number + 1
    } else if (qos === 2) {
      this.fault(`${topic}: ${number} came twice with QoS 2`)
    } else if (!dup) {
      receipt.repeated.set(number, (receipt.repeated.get(number) ?? 0) + 1)
    }
  }

  /** `resent`: how often the publisher has sent a message again. */
  checkRepetitions(resent: (stream: Stream, number: number) => number): void {
    for (const [topic, { repeated }] of this.byTopic) {
      const stream = this.streams.get(topic)
      if (stream === undefined) continue
      for (const [number, copies] of repeated) {
        // A message published with QoS 2 is stored once, however often it was sent.
        const allowed = stream.qos === 1 ? resent(stream, number) : 0
        if (copies > allowed)
          this.fault(
            `${topic}: ${number} came again without DUP ${copies} times, sent again ${allowed} times`,
          )
      }
    }
  }

  /** Messages that have not come yet. */
  missing(): number {
    let missing = 0
    for (const stream of this.streams.values()) {
      if (this.qosOf(stream) !== undefined)
        missing += stream.sent - (this.byTopic.get(stream.topic)?.next ?? 0)
    }
    return missing
  }

  private receiptOf(topic: string): Receipt {
    let receipt = this.byTopic.get(topic)
    if (receipt === undefined) this.byTopic.set(topic, (receipt = { next: 0, repeated: new Map() }))
    return receipt
  }

  private fault(text: string): void {
    // The first ones tell what went wrong; after them everything is wrong.
    if (this.faults.length < 20) this.faults.push(`${this.subscriber}: ${text}`)
  }
}
