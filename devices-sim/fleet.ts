import { systemClock, type Clock } from '../broker/contract/clock.js'
import { Agenda } from './agenda.js'
import { Device, type DeviceSurroundings, type Reading } from './device.js'
import type { LostReason } from './link.js'
import type { Profile } from './profile/schema.js'
import { Stream } from './random.js'
import { isRefusal, refused, unreachable } from './reach.js'
import { planDevices } from './roster.js'
import type { BrokerAddress } from './socket.js'
import { noCounts, type FleetStats } from './stats.js'
import { parseStart } from './surroundings/calendar.js'
import { Turns } from './turns.js'

export interface FleetOptions {
  readonly profile: Profile
  /** 1 to 100,000. */
  readonly devices: number
  /** Any safe integer; one seed, one set of readings. */
  readonly seed: number
  readonly broker: BrokerAddress
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** Before the device names, so that fleets side by side do not take each other's client identifiers. Default: none. */
  readonly prefix?: string | undefined
  /** 4: MQTT 3.1.1, 5: MQTT 5 (the default). */
  readonly protocolVersion?: 4 | 5 | undefined
  /** Tries of the first device before `BROKER_UNREACHABLE`. Default: 5. */
  readonly firstTries?: number | undefined
  /** Time for `stop` to see acknowledgements and say goodbye, milliseconds. Default: 3,000. */
  readonly drainMs?: number | undefined
  /** Called with each acknowledged reading (QoS 0: written), as it went over the wire. */
  readonly onReading?: ((reading: Reading) => void) | undefined
  /** Ends the wait for the broker; the fleet has to be stopped all the same. */
  readonly signal?: AbortSignal | undefined
  readonly clock?: Clock | undefined
}

const DEFAULT_FIRST_TRIES = 5
const DEFAULT_DRAIN_MS = 3_000

/**
 * Starts a fleet of devices. Resolves when the first device is connected; the others follow at the profile's
 * rate. Rejects with `BROKER_UNREACHABLE` when the first device could not connect after some tries, with
 * `BROKER_REFUSED` when the broker will not have it; nothing is left running then. Once started, the fleet
 * outlives every outage of the broker.
 */
export async function startFleet(options: FleetOptions): Promise<Fleet> {
  const fleet = new Fleet(options)
  try {
    await fleet.contact()
  } catch (error) {
    await fleet.stop()
    throw error
  }
  return fleet
}

export class Fleet {
  private readonly clock: Clock
  private readonly agenda: Agenda
  private readonly turns: Turns<Device>
  private readonly devices: readonly Device[]
  private readonly counters = noCounts()
  private readonly drainMs: number
  private firstContact: { connected(): void; failed(reason: LostReason): void } | undefined
  private stopped: Promise<FleetStats> | undefined
  private lastFailure: LostReason | undefined

  /** Use `startFleet`. */
  constructor(private readonly options: FleetOptions) {
    const { profile, seed } = options
    this.clock = options.clock ?? systemClock
    this.agenda = new Agenda(this.clock)
    this.turns = new Turns(this.clock, this.agenda, profile.connection.rate, (device) => device.connect())
    this.drainMs = options.drainMs ?? DEFAULT_DRAIN_MS

    const startedAt = this.clock.now()
    const modelStart = parseStart(profile.start, startedAt)
    if (modelStart === undefined)
      throw new RangeError(`start ${profile.start} is not one of a checked profile`)
    const around: DeviceSurroundings = {
      clock: this.clock,
      agenda: this.agenda,
      pace: {
        startedAt,
        modelStart,
        timeScale: profile.timeScale,
        intervalMs: profile.intervalSeconds * 1_000,
        jitter: profile.jitter,
      },
      qos: profile.qos,
      faults: profile.faults,
      backoff: {
        minMs: profile.connection.backoffMinSeconds * 1_000,
        maxMs: profile.connection.backoffMaxSeconds * 1_000,
      },
      counters: this.counters,
      requestTurn: (device) => this.turns.request(device),
      turnEnded: (device, failure) => this.turnEnded(device, failure),
      onReading: options.onReading ?? (() => {}),
    }
    this.devices = planDevices(profile, options.devices, options.prefix ?? '', Stream.fromSeed(seed)).map(
      (plan) =>
        new Device(
          plan,
          {
            address: options.broker,
            username: options.username,
            password: options.password,
            protocolVersion: options.protocolVersion ?? 5,
            keepAliveSeconds: profile.connection.keepAliveSeconds,
            statusTopic: profile.statusTopic ? `devices/${plan.name}/status` : undefined,
          },
          around,
        ),
    )
  }

  /** A copy of the counters at this moment. */
  stats(): FleetStats {
    return { devices: this.devices.length, ...this.counters, faults: { ...this.counters.faults } }
  }

  /** Why the latest failed attempt to connect failed, as one sentence; undefined while none has. */
  lastConnectProblem(): string | undefined {
    if (this.lastFailure === undefined) return undefined
    return unreachable(this.options.broker.url, this.lastFailure).message
  }

  /**
   * Stops sampling, waits for acknowledgements within the drain time, disconnects every device. Resolves with the
   * final counters; safe to call twice.
   */
  stop(): Promise<FleetStats> {
    this.stopped ??= this.end()
    return this.stopped
  }

  /** Connects the first device, then lets the others follow. Called once, by `startFleet`. */
  async contact(): Promise<void> {
    const [first, ...others] = this.devices
    const { signal, firstTries = DEFAULT_FIRST_TRIES, broker } = this.options
    if (first === undefined || signal?.aborted === true) return
    let triesLeft = firstTries
    await new Promise<void>((resolve, reject) => {
      const aborted = (): void => resolve()
      const settle = (): void => {
        this.firstContact = undefined
        signal?.removeEventListener('abort', aborted)
      }
      signal?.addEventListener('abort', aborted, { once: true })
      this.firstContact = {
        connected: () => {
          settle()
          for (const device of others) this.turns.request(device)
          resolve()
        },
        failed: (reason) => {
          if (!isRefusal(reason) && --triesLeft > 0) return
          settle()
          reject(isRefusal(reason) ? refused(broker.url, reason) : unreachable(broker.url, reason))
        },
      }
      this.turns.request(first)
    })
  }

  private turnEnded(device: Device, failure: LostReason | undefined): void {
    this.turns.ended(device)
    if (failure === undefined) {
      this.firstContact?.connected()
      return
    }
    this.lastFailure = failure
    this.firstContact?.failed(failure)
  }

  private async end(): Promise<FleetStats> {
    const { devicesConnected } = this.counters
    this.agenda.clear()
    let drained = (): void => {}
    const deadline = new Promise<void>((resolve) => (drained = resolve))
    const timer = this.clock.schedule(this.drainMs, drained)
    await Promise.all(this.devices.map((device) => device.stop(deadline)))
    timer.cancel()
    this.counters.devicesConnected = devicesConnected
    return this.stats()
  }
}
