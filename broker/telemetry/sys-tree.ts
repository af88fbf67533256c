import type { Clock, Timer } from '../contract/clock.js'
import type { Service } from '../contract/service.js'

/** Numbers since the start, and gauges, that the tree is made of. */
export interface SysReadings {
  readonly bytesReceived: number
  readonly bytesSent: number
  readonly connections: number
  readonly publishReceived: number
  readonly publishSent: number
  readonly publishDropped: number
  readonly publishBytesReceived: number
  readonly publishBytesSent: number
  readonly clientsConnected: number
  readonly sessions: number
  readonly sessionsExpired: number
  readonly subscriptions: number
  readonly retainedMessages: number
  readonly heapBytes: number
}

export interface SysTreeOptions {
  readonly version: string
  /** Seconds between two rounds, above zero. */
  readonly intervalSeconds: number
  readonly clock: Clock
  readonly read: () => SysReadings
  /**
   * Name of this node, where several publish to the same store, each below its own: `$SYS/brokers/<node>/`. All values are
   * renewed each round then, so that those of a node that is no more can expire, and removed at the end.
   */
  readonly node?: string | undefined
  /** Publishes as a retained QoS 0 message; undefined: removes it. */
  readonly publish: (topic: string, value: string | undefined) => void
}

/** Counters whose moving averages are published below `load/`, per minute. */
const LOADS = {
  'load/connections': 'connections',
  'load/bytes/received': 'bytesReceived',
  'load/bytes/sent': 'bytesSent',
  'load/publish/received': 'publishReceived',
  'load/publish/sent': 'publishSent',
  'load/publish/dropped': 'publishDropped',
} as const satisfies Record<string, keyof SysReadings>

const WINDOWS = { '1min': 60, '5min': 300, '15min': 900 } as const

/**
 * The `$SYS` tree under the names that Mosquitto's users know (mosquitto(8), "Broker status"): retained, renewed
 * each interval where a value has changed. Topics that count every MQTT packet (`messages/received`) are left out:
 * publishes and bytes are counted, acknowledgements are not.
 */
export class SysTree implements Service {
  readonly name = 'sys'
  private readonly published = new Map<string, string>()
  private readonly averages = new Map<string, number>()
  private previous: SysReadings | undefined
  private mostClients = 0
  private startedAt = 0
  private timer: Timer | undefined
  private readonly root: string

  constructor(private readonly options: SysTreeOptions) {
    const { node } = options
    this.root = node === undefined ? '$SYS/broker/' : `$SYS/brokers/${node}/`
  }

  start(): Promise<void> {
    this.startedAt = this.options.clock.monotonic()
    this.round()
    return Promise.resolve()
  }

  stop(): Promise<void> {
    this.timer?.cancel()
    if (this.options.node !== undefined)
      for (const topic of this.published.keys()) this.options.publish(this.root + topic, undefined)
    this.published.clear()
    return Promise.resolve()
  }

  private readonly round = (): void => {
    const { clock, intervalSeconds, read } = this.options
    const readings = read()
    this.put('version', this.options.version)
    this.put('uptime', `${Math.floor((clock.monotonic() - this.startedAt) / 1000)} seconds`)
    for (const [topic, value] of Object.entries(this.gauges(readings))) this.put(topic, String(value))
    for (const [topic, key] of Object.entries(LOADS))
      this.average(topic, readings[key], this.previous?.[key] ?? 0)
    this.previous = readings
    this.timer = clock.schedule(intervalSeconds * 1000, this.round)
  }

  private gauges(readings: SysReadings): Record<string, number> {
    this.mostClients = Math.max(this.mostClients, readings.clientsConnected)
    return {
      'bytes/received': readings.bytesReceived,
      'bytes/sent': readings.bytesSent,
      'clients/connected': readings.clientsConnected,
      'clients/disconnected': readings.sessions - readings.clientsConnected,
      'clients/expired': readings.sessionsExpired,
      'clients/maximum': this.mostClients,
      'clients/total': readings.sessions,
      'heap/current': readings.heapBytes,
      'publish/messages/received': readings.publishReceived,
      'publish/messages/sent': readings.publishSent,
      'publish/messages/dropped': readings.publishDropped,
      'publish/bytes/received': readings.publishBytesReceived,
      'publish/bytes/sent': readings.publishBytesSent,
      'retained messages/count': readings.retainedMessages,
      'subscriptions/count': readings.subscriptions,
    }
  }

  /** Exponentially damped, as load averages are: what happened a window ago counts 37 %. */
  private average(topic: string, now: number, before: number): void {
    const { intervalSeconds } = this.options
    const perMinute = ((now - before) * 60) / intervalSeconds
    for (const [name, seconds] of Object.entries(WINDOWS)) {
      const key = `${topic}/${name}`
      const kept = Math.exp(-intervalSeconds / seconds)
      const value = kept * (this.averages.get(key) ?? 0) + (1 - kept) * perMinute
      this.averages.set(key, value)
      this.put(key, value.toFixed(2))
    }
  }

  private put(topic: string, value: string): void {
    if (this.options.node === undefined && this.published.get(topic) === value) return
    this.published.set(topic, value)
    this.options.publish(this.root + topic, value)
  }
}
