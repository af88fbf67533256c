import { filterMatches } from '../../broker/contract/topic.js'
import { DurableClient } from './durable-client.js'
import { Receipts, type Stream } from './ledger.js'

/** Between two looks at whose window has room, in milliseconds. */
const TICK_MS = 4

/** Most that is caught up after a pause, in milliseconds of the rate: the gateway was away, nobody waited for it. */
const CATCH_UP_MS = 100

/** One publisher each. */
const WINDOWS = [1, 2, 5, 20, 50, 100, 200, 300]

type Presence = 'online' | 'coming and going' | 'offline'

interface Subscription {
  readonly filter: string
  readonly qos: 0 | 1 | 2
}

interface SubscriberPlan {
  readonly clientId: string
  readonly version: 4 | 5
  readonly presence: Presence
  readonly subscriptions: readonly Subscription[]
}

/** Topics are load/<publisher>/<stream>; filters overlap on purpose. */
const SUBSCRIBERS: readonly SubscriberPlan[] = [
  {
    clientId: 'everything',
    version: 5,
    presence: 'online',
    subscriptions: [{ filter: 'load/#', qos: 2 }],
  },
  {
    clientId: 'overlapping',
    version: 4,
    presence: 'online',
    subscriptions: [
      { filter: 'load/p0/#', qos: 2 },
      { filter: 'load/+/once-a', qos: 2 },
      { filter: 'load/+/often-a', qos: 1 },
      { filter: 'load/p7/once-a', qos: 1 },
      { filter: 'load/#', qos: 1 },
    ],
  },
  {
    clientId: 'restless',
    version: 5,
    presence: 'coming and going',
    subscriptions: [
      { filter: 'load/+/once-b', qos: 2 },
      { filter: 'load/p6/#', qos: 1 },
      { filter: 'load/p7/+', qos: 2 },
    ],
  },
  {
    clientId: 'absent',
    version: 4,
    presence: 'offline',
    subscriptions: [
      { filter: 'load/+/+', qos: 2 },
      { filter: 'load/p3/#', qos: 1 },
    ],
  },
]

const STREAMS = [
  { name: 'often-a', qos: 1 },
  { name: 'once-a', qos: 2 },
  { name: 'often-b', qos: 1 },
  { name: 'once-b', qos: 2 },
] as const

/** Room for the numbers of one stream in the tags of messages. */
const TAGS_A_STREAM = 1e9

interface Publisher {
  readonly client: DurableClient
  readonly window: number
  readonly streams: readonly { readonly stream: Stream; readonly index: number }[]
  turn: number
}

interface Subscriber extends SubscriberPlan {
  readonly client: DurableClient
  readonly receipts: Receipts
}

export interface LoadOptions {
  /** Asked for each connection: where there are many nodes it may be another one. */
  readonly port: () => number
  readonly random: () => number
  /** Publishes of all publishers together, a second; taken as bursts that fill the windows. */
  readonly rate: number
  /** See `DurableClientOptions`. */
  readonly patient?: boolean
}

/** Publishers and durable subscribers that go on whatever happens to the gateway. */
export class Load {
  readonly subscribers: readonly Subscriber[]
  readonly publishers: readonly Publisher[]
  readonly faults: string[] = []
  /** Called once, within the read that brings the next acknowledgement. */
  onNextAcknowledgement: (() => void) | undefined
  readonly streams = new Map<string, Stream>()
  private timer: NodeJS.Timeout | undefined
  private budget = 0
  private lastTick = 0

  constructor(private readonly options: LoadOptions) {
    const { port, random, patient = false } = options
    const onFault = (fault: string) => this.faults.push(fault)
    const streamsByIndex: Stream[] = []
    this.publishers = WINDOWS.map((window, number) => {
      const clientId = `p${number}`
      const streams = STREAMS.map(({ name, qos }) => {
        const topic = `load/${clientId}/${name}`
        const stream: Stream = { publisher: clientId, topic, qos, sent: 0, acknowledged: 0 }
        this.streams.set(topic, stream)
        return { stream, index: streamsByIndex.push(stream) - 1 }
      })
      const onAcknowledged = (tag: number) => {
        const stream = streamsByIndex[Math.floor(tag / TAGS_A_STREAM)]
        if (stream !== undefined) stream.acknowledged++
        const notify = this.onNextAcknowledgement
        this.onNextAcknowledgement = undefined
        notify?.()
      }
      const version = number % 2 === 0 ? 5 : 4
      const client = new DurableClient({ clientId, port, version, random, patient, onAcknowledged, onFault })
      return { client, window, streams, turn: 0 }
    })
    this.subscribers = SUBSCRIBERS.map((plan) => {
      const receipts = new Receipts(plan.clientId, (stream) => grantedQos(plan, stream), this.streams)
      const client = new DurableClient({
        clientId: plan.clientId,
        port,
        version: plan.version,
        random,
        patient,
        onArrival: (arrival) => receipts.arrived(arrival),
        onFault,
      })
      return { ...plan, client, receipts }
    })
  }

  /** Everybody connects, and subscribes; who is to be offline leaves again. */
  async open(): Promise<void> {
    for (const { client, subscriptions, presence } of this.subscribers) {
      await client.open()
      await client.subscribe(subscriptions)
      if (presence === 'offline') client.leave()
    }
    for (const { client } of this.publishers) await client.open()
  }

  startPublishing(): void {
    this.lastTick = performance.now()
    this.timer = setInterval(() => this.tick(), TICK_MS)
  }

  stopPublishing(): void {
    clearInterval(this.timer)
  }

  /** Subscribers that come and go do so, by chance. */
  visit(): void {
    for (const { client, presence } of this.subscribers) {
      if (presence !== 'coming and going' || this.options.random() < 0.5) continue
      if (client.connected) client.leave()
      else void client.open()
    }
  }

  /** Everybody comes who was away, to get what they missed. */
  async gather(): Promise<void> {
    for (const { client, presence } of this.subscribers) {
      if (presence !== 'online' && !client.connected) await client.open()
    }
  }

  /** Ends all sessions. */
  async end(): Promise<void> {
    for (const { client } of [...this.publishers, ...this.subscribers]) await client.end()
  }

  close(): void {
    this.stopPublishing()
    for (const { client } of [...this.publishers, ...this.subscribers]) client.leave()
  }

  /** Resolves within the read that brings the next acknowledgement. */
  nextAcknowledgement(): Promise<void> {
    return new Promise((resolve) => (this.onNextAcknowledgement = resolve))
  }

  /** One of those that are connected, or undefined. */
  anyConnected(): DurableClient | undefined {
    const connected = [...this.publishers, ...this.subscribers]
      .map(({ client }) => client)
      .filter((c) => c.connected)
    return connected[Math.floor(this.options.random() * connected.length)]
  }

  get acknowledged(): number {
    return sum([...this.streams.values()].map((stream) => stream.acknowledged))
  }

  get sent(): number {
    return sum([...this.streams.values()].map((stream) => stream.sent))
  }

  get received(): number {
    return sum(this.subscribers.map(({ receipts }) => receipts.received))
  }

  get resumptions(): number {
    return sum([...this.publishers, ...this.subscribers].map(({ client }) => client.resumptions))
  }

  get inflight(): number {
    return sum(this.publishers.map(({ client }) => client.inflight))
  }

  missing(): number {
    return sum(this.subscribers.map(({ receipts }) => receipts.missing()))
  }

  /** All that went wrong so far, in words. */
  verdict(): readonly string[] {
    for (const { receipts } of this.subscribers) {
      receipts.checkRepetitions((stream, number) => this.resentBy(stream, number))
    }
    return [...this.faults.slice(0, 20), ...this.subscribers.flatMap(({ receipts }) => receipts.faults)]
  }

  private resentBy(stream: Stream, number: number): number {
    for (const { client, streams } of this.publishers) {
      const own = streams.find((candidate) => candidate.stream === stream)
      if (own !== undefined) return client.resent.get(own.index * TAGS_A_STREAM + number) ?? 0
    }
    return 0
  }

  private tick(): void {
    const { rate } = this.options
    const now = performance.now()
    this.budget = Math.min(this.budget + ((now - this.lastTick) * rate) / 1000, (CATCH_UP_MS * rate) / 1000)
    this.lastTick = now
    const first = Math.floor(this.options.random() * this.publishers.length)
    for (let i = 0; i < this.publishers.length && this.budget > 0; i++) {
      const publisher = this.publishers[(first + i) % this.publishers.length]
      if (publisher !== undefined) this.fillWindow(publisher)
    }
  }

  private fillWindow(publisher: Publisher): void {
    const { client, window, streams } = publisher
    if (!client.connected || client.inflight > window / 2) return
    while (client.inflight < window) {
      const { stream, index } = streams[publisher.turn++ % streams.length] as (typeof streams)[number]
      const number = stream.sent++
      client.publish(
        stream.topic,
        payloadOf(number, this.options.random),
        stream.qos,
        index * TAGS_A_STREAM + number,
      )
      this.budget--
    }
  }
}

/** Eight digits and some padding, so that sizes differ. */
function payloadOf(number: number, random: () => number): Buffer {
  return Buffer.from(
    String(number)
      .padStart(8, '0')
      .padEnd(8 + Math.floor(random() * 120), '.'),
  )
}

/** The highest of the matching filters (MQTT 5, 3.3.4); QoS 0 would promise nothing. */
function grantedQos({ subscriptions }: SubscriberPlan, { topic }: Stream): 1 | 2 | undefined {
  const matching = subscriptions.filter(({ filter }) => filterMatches(filter, topic)).map(({ qos }) => qos)
  const highest = Math.max(0, ...matching)
  return highest === 0 ? undefined : (highest as 1 | 2)
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
