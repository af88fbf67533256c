import type { Clock } from '../broker/contract/clock.js'
import type { Agenda, Appointment } from './agenda.js'
import type { FaultStep } from './faults/fault.js'
import type { ConnectionFault } from './faults/flapping.js'
import { connectionFault, readingFault, type Faults } from './faults/registry.js'
import { Link, SESSION_TAKEN_OVER, type LinkOptions, type LostReason } from './link.js'
import type { Stream } from './random.js'
import type { DevicePlan, MetricPlan } from './roster.js'
import type { Counters } from './stats.js'
import { Timetable, type Pace } from './timetable.js'

/** A reading as it went over the wire. */
export interface Reading {
  readonly device: string
  readonly site: string
  readonly room: string
  readonly metric: string
  readonly topic: string
  /** Number of the sample on this device. */
  readonly index: number
  /** `ts` of the payload, milliseconds since the epoch. */
  readonly ts: number
  /** `value` of the payload. */
  readonly value: number
}

/** What a device shares with the fleet. */
export interface DeviceSurroundings {
  readonly clock: Clock
  readonly agenda: Agenda
  readonly pace: Pace
  readonly qos: 0 | 1 | 2
  readonly faults: Faults
  readonly backoff: { readonly minMs: number; readonly maxMs: number }
  readonly counters: Counters
  /** Asks for a turn to connect; `Device.connect` is called when it has come. */
  requestTurn(device: Device): void
  /** The turn is over: connected or failed. */
  turnEnded(device: Device, failure: LostReason | undefined): void
  /** An acknowledged reading (QoS 0: a written one). */
  onReading(reading: Reading): void
}

/** Unacknowledged messages of a device; beyond that it skips readings, as a device with little memory does. */
const MAX_INFLIGHT = 32

type State = 'off' | 'connecting' | 'online' | 'stopped'

/** One device: samples while it is connected, and comes back when it is not. */
export class Device {
  private state: State = 'off'
  private readonly link: Link
  private readonly timetable: Timetable
  private readonly metrics: readonly SampledMetric[]
  private readonly losesConnection: ConnectionFault
  private readonly backoffStream: Stream
  private readonly sampling: Appointment = { due: 0, position: -1, run: () => this.sample() }
  private readonly returning: Appointment = { due: 0, position: -1, run: () => this.around.requestTurn(this) }
  /** Undefined until the first connection. */
  private nextIndex: number | undefined
  private inflight = 0
  /** Grows when what is in flight is given up: later settles are void. */
  private generation = 0
  private connections = 0
  private onlineSince = 0
  private failures = 0
  private retries = 0

  constructor(
    private readonly plan: DevicePlan,
    link: Omit<LinkOptions, 'clientId'>,
    private readonly around: DeviceSurroundings,
  ) {
    this.timetable = new Timetable(around.pace, plan.stream.derive('timetable'))
    this.backoffStream = plan.stream.derive('backoff')
    this.losesConnection = connectionFault(around.faults, plan.stream)
    this.metrics = plan.metrics.map((metric) => this.withFaults(metric))
    this.link = new Link(
      { ...link, clientId: plan.name },
      { connected: () => this.online(), lost: (reason) => this.lost(reason) },
    )
  }

  connect(): void {
    if (this.state !== 'off') return
    this.state = 'connecting'
    this.link.open()
  }

  /** Waits at most until `deadline` settles, then cuts; messages still unacknowledged count as errors. */
  async stop(deadline: Promise<unknown>): Promise<void> {
    this.state = 'stopped'
    this.around.agenda.cancel(this.sampling)
    this.around.agenda.cancel(this.returning)
    const closed = this.link.close()
    await Promise.race([closed, deadline.then(() => this.link.cut())])
    this.giveUpInflight()
  }

  private online(): void {
    if (this.state !== 'connecting') return
    const { clock, counters } = this.around
    this.state = 'online'
    this.onlineSince = clock.now()
    counters.devicesConnected++
    if (this.connections++ > 0) counters.reconnects++
    this.around.turnEnded(this, undefined)
    this.scheduleSample()
  }

  private lost(reason: LostReason): void {
    const { clock, agenda, backoff, counters } = this.around
    const was = this.state
    if (was === 'stopped') return
    this.state = 'off'
    agenda.cancel(this.sampling)
    if (was === 'online') {
      counters.devicesConnected--
      if (reason.reasonCode === SESSION_TAKEN_OVER) counters.takenOver++
      // One that held proves that the broker takes us; one that was lost at once proves nothing.
      if (clock.now() - this.onlineSince >= backoff.maxMs) this.failures = 0
      // A QoS 0 message waits for the socket's drain, which never comes once it is gone.
      if (this.around.qos === 0) this.giveUpInflight()
    } else {
      counters.connectFailures++
      this.around.turnEnded(this, reason)
    }
    // Exponential backoff with full jitter: after an outage thousands of devices must not return as one.
    const bound = Math.min(backoff.maxMs, backoff.minMs * 2 ** this.failures++)
    const wait = bound * this.backoffStream.uniform(this.retries++)
    agenda.at(clock.now() + wait, this.returning)
  }

  private scheduleSample(): void {
    const { agenda, clock, counters } = this.around
    const current = this.timetable.indexAt(clock.now())
    const next = Math.max(this.nextIndex ?? current, current)
    counters.missed += (next - (this.nextIndex ?? next)) * this.metrics.length
    this.nextIndex = next
    agenda.at(this.timetable.dueAt(next), this.sampling)
  }

  private sample(): void {
    if (this.nextIndex === undefined) return
    const index = this.nextIndex++
    if (this.losesConnection(index)) {
      this.around.counters.faults.flapping++
      this.around.counters.missed += this.metrics.length
      this.link.cut()
      return
    }
    const ts = this.around.clock.now()
    for (const metric of this.metrics) this.publish(metric, index, ts)
    this.scheduleSample()
  }

  private publish({ plan, reading, fault }: SampledMetric, index: number, ts: number): void {
    const { counters, qos } = this.around
    if (this.inflight >= MAX_INFLIGHT) {
      counters.missed++
      return
    }
    const sample = fault({ index, ts, value: reading(index) })
    if (sample === undefined) return
    const payload = sample.garbage ?? Buffer.from(JSON.stringify({ ts: sample.ts, value: sample.value }))
    const { generation } = this
    this.inflight++
    this.link.publish(plan.topic, payload, qos, (error) => {
      if (generation !== this.generation) return
      this.inflight--
      if (error !== undefined) {
        counters.publishErrors++
        return
      }
      counters.published++
      counters.bytes += payload.length
      if (sample.garbage !== undefined) return
      const { name: device, site, room } = this.plan
      const { metric, topic } = plan
      this.around.onReading({ device, site, room, metric, topic, index, ts: sample.ts, value: sample.value })
    })
  }

  private giveUpInflight(): void {
    this.generation++
    this.around.counters.publishErrors += this.inflight
    this.inflight = 0
  }

  private withFaults(plan: MetricPlan): SampledMetric {
    const reading = (index: number): number => plan.sensor(this.timetable.modelTime(index), index)
    const part = { device: this.plan.stream, metric: plan.stream, reading }
    return {
      plan,
      reading,
      fault: readingFault(this.around.faults, part, (name) => this.around.counters.faults[name]++),
    }
  }
}

interface SampledMetric {
  readonly plan: MetricPlan
  readonly reading: (index: number) => number
  readonly fault: FaultStep
}
