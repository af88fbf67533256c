import type { DestinationStream } from 'pino'
import { Gauge, Registry } from 'prom-client'
import type { Config } from '../../config/schema.js'
import type { Clock } from '../contract/clock.js'
import type {
  AccessEvents,
  BridgeEvents,
  BusEvents,
  MembershipEvents,
  RedisEvents,
  StoreEvents,
  WorkerEvents,
} from '../contract/events.js'
import type { Service } from '../contract/service.js'
import { AccessTelemetry } from './access-events.js'
import { BridgeTelemetry } from './bridge-events.js'
import { BusTelemetry } from './bus-events.js'
import { gauge, PREFIX } from './cells.js'
import { EventLog } from './event-log.js'
import { EventLoopDelay } from './event-loop.js'
import { LineLimiter } from './line-limiter.js'
import { createLog, type Log } from './log.js'
import { MembershipTelemetry } from './membership-events.js'
import type { MetricSamples } from './merged-metrics.js'
import { MessageDrops } from './message-drops.js'
import { PipelineTelemetry } from './pipeline-events.js'
import { ProcessMetrics } from './process-metrics.js'
import { RedisTelemetry } from './redis-events.js'
import { SessionTelemetry } from './session-events.js'
import { StoreTelemetry } from './store-events.js'
import type { SysReadings } from './sys-tree.js'
import { TransportTelemetry } from './transport-events.js'
import { WorkerTelemetry } from './worker-events.js'

export interface TelemetryOptions {
  readonly config: Pick<Config, 'log'>
  /** In every line of the log; undefined: left out. */
  readonly node: string | undefined
  /** Names of the listeners and of the authenticators: values of labels. */
  readonly listeners: readonly string[]
  readonly authenticators: readonly string[]
  readonly clock: Clock
  /** Where log lines go. Default: standard output. */
  readonly destination?: DestinationStream
}

/** State that other parts hold and that is asked for when somebody scrapes. */
export interface StateGauges {
  sessions(): number
  subscriptions(): number
  retainedMessages(): number
}

/**
 * Log and metrics of one gateway. Nothing of it is global: a process may hold several gateways. Started first and
 * stopped last.
 */
export class Telemetry implements Service {
  readonly name = 'telemetry'
  readonly transport: TransportTelemetry
  readonly session: SessionTelemetry
  readonly store: StoreEvents
  readonly redis: RedisEvents
  readonly access: AccessEvents
  readonly bridges: BridgeEvents
  readonly bus: BusEvents
  readonly membership: MembershipEvents
  readonly pipeline: PipelineTelemetry
  readonly workers: WorkerEvents

  private readonly drops: MessageDrops
  private readonly root: Log
  private readonly limiter: LineLimiter
  private readonly registry = new Registry()
  private readonly eventLoop: EventLoopDelay
  private readonly process: ProcessMetrics
  private state: Partial<StateGauges> = {}

  constructor({ config, node, listeners, authenticators, clock, destination }: TelemetryOptions) {
    this.root = createLog({
      ...config.log,
      node,
      clock,
      ...(destination === undefined ? {} : { destination }),
    })
    const own = this.log('telemetry')
    this.limiter = new LineLimiter(clock, ({ event, lines, seconds }) => {
      own.warn({ event: 'lines_suppressed', of: event, lines, seconds }, `${lines} more lines of ${event}`)
    })
    const { registry } = this
    const drops = new MessageDrops(registry)
    this.drops = drops
    this.transport = new TransportTelemetry(registry, this.eventLog('transport'), drops, listeners)
    this.session = new SessionTelemetry(registry, this.eventLog('session'), drops)
    this.registerState(node)
    this.store = new StoreTelemetry(registry, this.eventLog('store'), drops)
    this.redis = new RedisTelemetry(registry, this.eventLog('redis'))
    this.access = new AccessTelemetry(registry, this.eventLog('access'), authenticators)
    this.bridges = new BridgeTelemetry(registry, this.eventLog('bridges'))
    this.bus = new BusTelemetry(registry, this.eventLog('bus'))
    this.membership = new MembershipTelemetry(registry, this.eventLog('membership'))
    this.pipeline = new PipelineTelemetry(registry, this.eventLog('pipeline'), drops)
    this.workers = new WorkerTelemetry(registry, this.eventLog('workers'))
    this.eventLoop = new EventLoopDelay(registry)
    this.process = new ProcessMetrics(registry)
  }

  /** The log of a part, for what is no event of an interface: the steps of start and stop, as a rule. */
  log(part: string): Log {
    return this.root.child({ part })
  }

  /** Tells where state is to be asked for; what nobody has told is 0. */
  watch(state: Partial<StateGauges>): void {
    this.state = { ...this.state, ...state }
  }

  /** What the `$SYS` tree shows. */
  readings(): SysReadings {
    const { state } = this
    return {
      ...this.transport.totals(),
      ...this.session.totals(),
      publishDropped: this.drops.total,
      sessions: state.sessions?.() ?? 0,
      subscriptions: state.subscriptions?.() ?? 0,
      retainedMessages: state.retainedMessages?.() ?? 0,
      heapBytes: process.memoryUsage().heapUsed,
    }
  }

  /** All metrics in the text format of Prometheus, with its content type. */
  async scrape(): Promise<{ readonly contentType: string; readonly text: string }> {
    return { contentType: this.registry.contentType, text: await this.registry.metrics() }
  }

  /** Every metric with its samples as plain data. */
  metrics(): Promise<readonly MetricSamples[]> {
    return this.registry.getMetricsAsJSON()
  }

  start(): Promise<void> {
    this.eventLoop.start()
    this.process.start()
    return Promise.resolve()
  }

  stop(): Promise<void> {
    this.eventLoop.stop()
    this.process.stop()
    this.limiter.stop()
    this.root.flush()
    return Promise.resolve()
  }

  private eventLog(part: string): EventLog {
    return new EventLog(this.log(part), this.limiter)
  }

  private registerState(node: string | undefined): void {
    new Gauge({
      name: `${PREFIX}node_info`,
      help: 'Name of this node, as in its log and its `$SYS` topics.',
      labelNames: ['node'],
      registers: [this.registry],
    }).set({ node: node ?? '' }, 1)
    const add = (name: string, help: string, key: keyof StateGauges): void =>
      gauge(this.registry, { name, help }, () => this.state[key]?.() ?? 0)
    add('sessions', 'Sessions, connected or not.', 'sessions')
    add('subscriptions', 'Subscriptions of all sessions.', 'subscriptions')
    add('retained_messages', 'Retained messages.', 'retainedMessages')
  }
}
