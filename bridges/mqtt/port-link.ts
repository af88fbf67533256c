import { Rejected, Retryable } from '../../broker/contract/connector.js'
import {
  FrameWriter,
  PublishOutcome,
  readForPipelines,
  type ToPipelines,
} from '../../broker/contract/port-frame.js'
import {
  PORT_LIMITS,
  type BrokerLink,
  type InboundMessage,
  type Inflow,
  type OutboundMessage,
  type PortEnd,
  type SubscribeOptions,
} from '../../broker/contract/port.js'
import { InboundBuffer } from './inbound-buffer.js'

/**
 * The pipelines' end of the port to the gateway that they live in. All links share it; what they send in one tick
 * leaves as one frame.
 */
export class PortClient implements ToPipelines {
  private readonly writer = new FrameWriter()
  private flushing = false
  private closed = false
  private readonly channels = new Map<number, PortInflow>()
  private nextChannel = 1
  private readonly publishes = new Map<number, Publish>()
  private nextPublish = 1
  private publishBytes = 0
  private readonly recalls = new Map<number, (payload: Uint8Array | undefined) => void>()
  private nextRecall = 1
  /** Publishes that wait for room, in order. Each pipeline waits for its own before it reads on, so they are few. */
  private waiting: (() => void)[] = []

  /** `defer` runs a task at the end of the tick (`setImmediate`). */
  constructor(
    private readonly end: PortEnd,
    private readonly defer: (task: () => void) => void,
  ) {
    end.receive((frame) => {
      readForPipelines(frame, this)
    })
  }

  link(name: string): BrokerLink {
    return new PortLink(name, this)
  }

  /** Whatever still waits ends with `Retryable`. */
  close(): void {
    if (this.closed) return
    this.flush()
    this.closed = true
    this.end.close()
    for (const inflow of this.channels.values()) inflow.end()
    for (const { done } of this.publishes.values()) done(new Retryable('the port is closed'))
    this.publishes.clear()
    for (const done of this.recalls.values()) done(undefined)
    this.recalls.clear()
    this.makeRoom()
  }

  open(name: string, filter: string, { qos, maxUnsettled }: SubscribeOptions): PortInflow {
    const channel = this.nextChannel++
    const inflow = new PortInflow(channel, this, maxUnsettled)
    this.channels.set(channel, inflow)
    this.write().subscribe(channel, name, filter, qos)
    this.write().grant(channel, PORT_LIMITS.creditMessages, PORT_LIMITS.creditBytes)
    return inflow
  }

  forget(channel: number): void {
    this.channels.delete(channel)
    this.write().release(channel)
  }

  /** Entries of this tick. */
  write(): FrameWriter {
    if (!this.flushing) {
      this.flushing = true
      this.defer(() => {
        this.flush()
      })
    }
    return this.writer
  }

  async publish(name: string, message: OutboundMessage): Promise<void> {
    while (!this.closed && !this.room()) await new Promise<void>((resolve) => this.waiting.push(resolve))
    if (this.closed) throw new Retryable('the port is closed')
    const id = this.nextPublish
    this.nextPublish = id >= LARGEST_ID ? 1 : id + 1
    const bytes = message.topic.length + message.payload.length
    this.publishBytes += bytes
    this.write().publish(id, name, message.qos, message.retain, message.topic, message.payload)
    const error = await new Promise<Error | undefined>((done) => this.publishes.set(id, { bytes, done }))
    if (error !== undefined) throw error
  }

  recall(topic: string): Promise<Uint8Array | undefined> {
    if (this.closed) return Promise.reject(new Retryable('the port is closed'))
    const id = this.nextRecall++
    this.write().recall(id, topic)
    return new Promise((done) => this.recalls.set(id, done))
  }

  recalled(id: number, found: boolean, payload: Uint8Array): void {
    this.recalls.get(id)?.(found ? payload : undefined)
    this.recalls.delete(id)
  }

  unsubscribed(channel: number): void {
    this.channels.get(channel)?.end()
  }

  subscribed(channel: number, maxUnsettled: number): void {
    this.channels.get(channel)?.subscribed(maxUnsettled)
  }

  message(channel: number, token: number, receivedAt: number, topic: string, payload: Uint8Array): void {
    this.channels.get(channel)?.push({ topic, payload, token, receivedAt })
  }

  published(id: number, outcome: PublishOutcome, detail: string): void {
    const publish = this.publishes.get(id)
    if (publish === undefined) return
    this.publishes.delete(id)
    this.publishBytes -= publish.bytes
    publish.done(
      outcome === PublishOutcome.accepted
        ? undefined
        : outcome === PublishOutcome.refused
          ? new Rejected('refused', detail)
          : new Retryable(detail),
    )
    this.makeRoom()
  }

  private room(): boolean {
    return (
      this.publishes.size < PORT_LIMITS.publishesUnderWay &&
      this.publishBytes < PORT_LIMITS.publishBytesUnderWay
    )
  }

  private makeRoom(): void {
    if (this.waiting.length === 0) return
    const waiting = this.waiting
    this.waiting = []
    for (const resume of waiting) resume()
  }

  private flush(): void {
    this.flushing = false
    if (!this.closed && !this.writer.empty) this.end.send(this.writer.take())
  }
}

class PortLink implements BrokerLink {
  private inflow: PortInflow | undefined
  private closed = false

  constructor(
    private readonly name: string,
    private readonly client: PortClient,
  ) {}

  async subscribe(filter: string, options: SubscribeOptions): Promise<Inflow> {
    this.inflow = this.client.open(this.name, filter, options)
    await this.inflow.ready
    return this.inflow
  }

  async publish(messages: readonly OutboundMessage[]): Promise<void> {
    if (this.closed) throw new Retryable('the link is closed')
    const outcomes = await Promise.allSettled(
      messages.map((message) => this.client.publish(this.name, message)),
    )
    const failure = outcomes.find((outcome) => outcome.status === 'rejected')
    if (failure !== undefined) throw failure.reason
  }

  recall(topic: string): Promise<Uint8Array | undefined> {
    return this.client.recall(topic)
  }

  close(): Promise<void> {
    if (!this.closed) {
      this.closed = true
      this.inflow?.close()
    }
    return Promise.resolve()
  }
}

/** One subscription. Its buffer is bounded by what was granted to the broker. */
class PortInflow implements Inflow {
  readonly dropped = 0
  readonly ready: Promise<void>
  private resolveReady: () => void = () => {}
  private limit = Infinity
  private stopped = false
  private ended = false
  private closed = false
  /** What is taken out is granted again. */
  private readonly buffer = new InboundBuffer((messages, bytes) => {
    if (!this.ended) this.client.write().grant(this.channel, messages, bytes)
  })

  constructor(
    private readonly channel: number,
    private readonly client: PortClient,
    /** Bound on unsettled messages that the pipeline asks for. */
    private readonly wanted: number | undefined,
  ) {
    this.ready = new Promise((resolve) => (this.resolveReady = resolve))
  }

  get maxUnsettled(): number {
    return this.limit
  }

  read(): Promise<readonly InboundMessage[] | undefined> {
    return this.buffer.read()
  }

  settle(token: number): void {
    if (!this.closed) this.client.write().settle(this.channel, token)
  }

  stop(): void {
    if (this.stopped) return
    this.stopped = true
    // What is on its way still comes; the broker says when it was the last.
    if (!this.ended) this.client.write().unsubscribe(this.channel)
  }

  close(): void {
    if (this.closed) return
    this.end()
    this.closed = true
    this.client.forget(this.channel)
  }

  /** Nothing more comes in. */
  end(): void {
    this.ended = true
    this.resolveReady()
    this.buffer.end()
  }

  subscribed(maxUnsettled: number): void {
    this.limit = Math.min(maxUnsettled, this.wanted ?? Infinity)
    this.resolveReady()
  }

  push(message: InboundMessage): void {
    this.buffer.push(message)
  }
}

interface Publish {
  readonly bytes: number
  readonly done: (error: Error | undefined) => void
}

const LARGEST_ID = 0xffff_ffff
