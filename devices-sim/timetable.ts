import type { Stream } from './random.js'
import type { ModelTime } from './surroundings/processes.js'

export interface Pace {
  /** Milliseconds since the epoch at which sample 0 of every device lies, give or take its phase. */
  readonly startedAt: number
  /** Model time at `startedAt`. */
  readonly modelStart: ModelTime
  /** Model seconds in a real second. */
  readonly timeScale: number
  readonly intervalMs: number
  /** How far a sample may be late, as a share of the interval. */
  readonly jitter: number
}

/**
 * When a device takes which sample. Samples are numbered from the start of the fleet, whether or not the device
 * is connected, and sample n has its fixed model time: so what it reads is known beforehand, and what the network
 * does decides only which samples get out.
 */
export class Timetable {
  private readonly phaseMs: number

  constructor(
    private readonly pace: Pace,
    private readonly stream: Stream,
  ) {
    this.phaseMs = stream.uniform(-1) * pace.intervalMs
  }

  /** Jitter moves the moment of sending, not the model time. */
  modelTime(index: number): ModelTime {
    const { modelStart, timeScale, intervalMs } = this.pace
    return modelStart + ((this.phaseMs + index * intervalMs) / 1_000) * timeScale
  }

  /** Milliseconds since the epoch. */
  dueAt(index: number): number {
    return this.nominal(index) + this.pace.jitter * this.pace.intervalMs * this.stream.uniform(index)
  }

  /** The sample whose interval `now` lies in, at least 0. */
  indexAt(now: number): number {
    return Math.max(0, Math.floor((now - this.nominal(0)) / this.pace.intervalMs))
  }

  private nominal(index: number): number {
    return this.pace.startedAt + this.phaseMs + index * this.pace.intervalMs
  }
}
