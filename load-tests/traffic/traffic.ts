import { Connection } from '../client/connection.js'
import type { Endpoint } from '../client/endpoint.js'
import { FlushList } from '../client/flush-list.js'
import { MessageTemplate } from '../client/message-template.js'
import { Histogram, type HistogramCounts } from '../measure/histogram.js'
import { monotonicMicros, monotonicMs } from '../measure/monotonic.js'
import { processUsage, usageOf, type ProcessUsage } from '../measure/process-usage.js'
import type { SequenceTally } from '../measure/sequence-check.js'
import { inBatches } from './in-batches.js'
import { audienceOf, filterOf, shareOf, streamsOf, topicOf, type TrafficPlan } from './plan.js'
import { Publisher } from './publisher.js'
import { Receiver } from './receiver.js'
import { Schedule } from './schedule.js'

/** What one worker saw between two moments. Bytes are those of WebSocket or, without it, of MQTT; without TLS and TCP. */
export interface TrafficWindow {
  readonly seconds: number
  readonly published: number
  /** Messages that came; with offline receivers: messages that were acknowledged, once for each receiver. */
  readonly deliveries: number
  readonly receiverBytesIn: number
  readonly publisherBytesOut: number
  /** All its processes. */
  readonly broker: ProcessUsage | undefined
  /** Of the broker, what Redis took. */
  readonly redisCpuSeconds: number | undefined
  readonly clientCpuSeconds: number
  /** Microseconds from when a message ought to have been sent to its arrival. */
  readonly latency: HistogramCounts
  /** Microseconds that messages left later than they ought to: the load generator's own doing. */
  readonly lateness: HistogramCounts
}

/** What came of a worker's messages in the end. */
export interface TrafficOutcome extends SequenceTally {
  readonly refused: number
  readonly connectionsLost: number
  /** Times that a closed loop stood still for a second, and was set going again. */
  readonly stalls: number
}

/** Publishers in an open loop may have so many QoS 1 and 2 messages unacknowledged. */
const RATE_WINDOW = 64
const STALL_MS = 1_000
/** Nothing has come for so long: what has not come yet will not. */
const QUIET_MS = 1_000
/**
 * Longest wait for what is under way, which then counts as lost: a broker that is held up may go on for hours (Mosquitto
 * 2.0.11 over WebSocket, at 5 messages a second, with 5 of 20 receivers that do not read).
 */
const SETTLE_MS = 10_000

/** Publishers and receivers of one worker. */
export class Traffic {
  private readonly flushList = new FlushList()
  private readonly publishers: Publisher[] = []
  private readonly publisherByNumber: (Publisher | undefined)[] = []
  private readonly receivers: Receiver[] = []
  private readonly stopped = new Set<Receiver>()
  private connections: Connection[] = []
  private readonly latency = new Histogram()
  private readonly lateness = new Histogram()
  private readonly schedule: Schedule | undefined
  private watch: NodeJS.Timeout | undefined
  private running = false
  private deliveries = 0
  private acknowledged = 0
  private refused = 0
  private connectionsLost = 0
  private stalls = 0
  private turn = -1
  private now = 0
  private from: Snapshot | undefined

  constructor(private readonly plan: TrafficPlan) {
    const { pace } = plan
    if (pace.kind === 'rate') {
      const share = shareOf(plan, plan.publishers).length / plan.publishers
      this.schedule = new Schedule(pace.messagesPerSecond * share, this.publishers, {
        late: (micros) => this.lateness.record(micros),
        flush: () => this.flushList.flush(),
      })
    }
  }

  /** Connects and subscribes. */
  async open(): Promise<void> {
    const { plan } = this
    await inBatches(shareOf(plan, plan.receivers), (number) => this.openReceiver(number))
    const window = plan.pace.kind === 'closed' ? plan.pace.outstanding : RATE_WINDOW
    await inBatches([...shareOf(plan, plan.publishers).entries()], async ([place, number]) => {
      const connection = await this.connect(plan.endpoint, `${plan.runId}-p${number}`, true)
      const template = new MessageTemplate({
        ...plan,
        topic: topicOf(plan, number),
        retain: false,
        publisher: number,
        framed: connection.framed,
      })
      const options = { number, place, qos: plan.qos, window, audience: this.localAudience() }
      const publisher = new Publisher(connection, template, options, {
        room: (which) => this.goOn(which),
        acknowledged: () => this.acknowledged++,
        refused: () => this.refused++,
        lost: () => this.connectionsLost++,
      })
      this.publishers[place] = publisher
      this.publisherByNumber[number] = publisher
    })
  }

  /** Begins to publish. */
  start(): void {
    this.running = true
    if (this.schedule !== undefined) {
      this.schedule.start()
      return
    }
    for (const publisher of this.publishers) publisher.fill()
    this.flushList.flush()
    let seen = this.deliveries
    this.watch = setInterval(() => {
      if (this.deliveries === seen && this.plan.qos === 0) this.restart()
      seen = this.deliveries
    }, STALL_MS)
  }

  beginWindow(): void {
    this.latency.reset()
    this.lateness.reset()
    this.from = this.snapshot()
  }

  endWindow(): TrafficWindow {
    const to = this.snapshot()
    const from = this.from ?? to
    const usage = from.broker !== undefined && to.broker !== undefined
    return {
      seconds: (to.atMs - from.atMs) / 1_000,
      published: to.published - from.published,
      deliveries: to.deliveries - from.deliveries,
      receiverBytesIn: to.receiverBytesIn - from.receiverBytesIn,
      publisherBytesOut: to.publisherBytesOut - from.publisherBytesOut,
      broker: usage
        ? { cpuSeconds: to.broker.cpuSeconds - from.broker.cpuSeconds, rssBytes: to.broker.rssBytes }
        : undefined,
      redisCpuSeconds:
        from.redis === undefined || to.redis === undefined
          ? undefined
          : to.redis.cpuSeconds - from.redis.cpuSeconds,
      clientCpuSeconds: to.clientCpuSeconds - from.clientCpuSeconds,
      latency: this.latency.state(),
      lateness: this.lateness.state(),
    }
  }

  /** The first `count` receivers of this worker read no more. What they get, or not, is no longer counted. */
  stopReading(count: number): void {
    for (const receiver of this.receivers.slice(0, count)) {
      this.stopped.add(receiver)
      receiver.connection.pause()
    }
  }

  /** Stops publishing; how many messages each publisher has sent. */
  stop(): (readonly [publisher: number, sent: number])[] {
    this.running = false
    this.schedule?.stop()
    clearInterval(this.watch)
    return this.publishers.map((publisher) => [publisher.number, publisher.sent] as const)
  }

  /** Waits for what is under way; `sent`: of the publishers of all workers. */
  async settle(sent: readonly (readonly [publisher: number, sent: number])[]): Promise<TrafficOutcome> {
    const patience = monotonicMs() + SETTLE_MS
    for (let seen = -1; !this.complete(sent) && monotonicMs() < patience;) {
      if (seen === this.deliveries + this.acknowledged) break
      seen = this.deliveries + this.acknowledged
      await pause(QUIET_MS)
    }
    const outcome: TrafficOutcome = {
      received: 0,
      lost: 0,
      duplicates: 0,
      reordered: 0,
      refused: this.refused,
      connectionsLost: this.connectionsLost,
      stalls: this.stalls,
    }
    return this.countedReceivers().reduce((total, { check, streams }) => {
      for (const [publisher, count] of sent) check.end(publisher - streams.first, count)
      return {
        ...total,
        received: total.received + check.tally.received,
        lost: total.lost + check.tally.lost,
        duplicates: total.duplicates + check.tally.duplicates,
        reordered: total.reordered + check.tally.reordered,
      }
    }, outcome)
  }

  /** Ends all connections, and the sessions that would outlive them. */
  async close(): Promise<void> {
    this.stop()
    for (const { connection } of this.stopped) connection.destroy()
    await inBatches(this.connections, (connection) => connection.close())
    this.connections = []
    if (this.plan.sessions === 'clean') return
    await inBatches(shareOf(this.plan, this.plan.receivers), async (number) => {
      const connection = await this.connect(
        this.receiverEndpoint(number),
        `${this.plan.runId}-r${number}`,
        true,
      )
      await connection.close()
    })
  }

  private async openReceiver(number: number): Promise<void> {
    const { plan } = this
    const connection = await this.connect(
      this.receiverEndpoint(number),
      `${plan.runId}-r${number}`,
      plan.sessions === 'clean',
    )
    await connection.subscribe([filterOf(plan, number)], plan.qos)
    if (plan.sessions === 'offline') {
      await connection.close()
      return
    }
    this.receivers.push(
      new Receiver(connection, streamsOf(plan, number), {
        delivered: (publisher, sequence, micros, first) => this.delivered(publisher, sequence, micros, first),
        lost: () => this.connectionsLost++,
      }),
    )
  }

  private receiverEndpoint(number: number): Endpoint {
    const { receiverEndpoints, endpoint } = this.plan
    return receiverEndpoints[number % receiverEndpoints.length] ?? endpoint
  }

  private async connect(endpoint: Endpoint, clientId: string, clean: boolean): Promise<Connection> {
    const { version, patienceMs } = this.plan
    const connection = await Connection.open({
      endpoint,
      version,
      clientId,
      clean,
      sessionExpirySeconds: clean ? 0 : 3_600,
      flushList: this.flushList,
      patienceMs,
    })
    this.connections.push(connection)
    return connection
  }

  /** In a closed loop: the receivers of this process. Those of others are counted, but not waited for. */
  private localAudience(): number {
    if (this.plan.pace.kind === 'rate') return 0
    return this.plan.topology === 'pairs' ? Math.min(1, this.receivers.length) : this.receivers.length
  }

  /** One look at the clock a read: the packets of a read have arrived together. */
  private delivered(publisher: number, sequence: number, sentMicros: number, first: boolean): void {
    if (this.turn !== this.flushList.turn) {
      this.turn = this.flushList.turn
      this.now = monotonicMicros()
    }
    this.deliveries++
    const micros = (this.now - sentMicros) >>> 0
    // Sent within this very read: the clock was looked at before.
    this.latency.record(micros > 0x8000_0000 ? 0 : micros)
    if (first) this.publisherByNumber[publisher]?.delivered(sequence)
  }

  private goOn(publisher: Publisher): void {
    if (!this.running) return
    if (this.schedule === undefined) publisher.fill()
    else this.schedule.catchUp(publisher)
  }

  private restart(): void {
    this.stalls++
    for (const publisher of this.publishers) {
      publisher.giveUp()
      publisher.fill()
    }
    this.flushList.flush()
  }

  private countedReceivers(): Receiver[] {
    return this.receivers.filter((receiver) => !this.stopped.has(receiver))
  }

  private complete(sent: readonly (readonly [publisher: number, sent: number])[]): boolean {
    return this.countedReceivers().every(({ check, streams }) => {
      const due = sent
        .filter(([publisher]) => publisher >= streams.first && publisher < streams.first + streams.count)
        .reduce((sum, [, count]) => sum + count, 0)
      return check.tally.received >= due
    })
  }

  private snapshot(): Snapshot {
    const { plan } = this
    const offline = plan.sessions === 'offline'
    return {
      atMs: monotonicMs(),
      published: this.publishers.reduce((sum, publisher) => sum + publisher.sent, 0),
      deliveries: offline ? this.acknowledged * audienceOf(plan) : this.deliveries,
      receiverBytesIn: this.receivers.reduce((sum, { connection }) => sum + connection.bytesIn, 0),
      publisherBytesOut: this.publishers.reduce((sum, { bytesOut }) => sum + bytesOut, 0),
      // The broker is looked at by one worker only.
      broker: plan.worker > 0 ? undefined : usageOf(plan.brokerPids),
      redis: plan.redisPid === undefined || plan.worker > 0 ? undefined : processUsage(plan.redisPid),
      clientCpuSeconds: processUsage(process.pid)?.cpuSeconds ?? 0,
    }
  }
}

interface Snapshot {
  readonly atMs: number
  readonly published: number
  readonly deliveries: number
  readonly receiverBytesIn: number
  readonly publisherBytesOut: number
  readonly broker: ProcessUsage | undefined
  readonly redis: ProcessUsage | undefined
  readonly clientCpuSeconds: number
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
