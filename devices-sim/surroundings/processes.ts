import type { Stream } from '../random.js'

/** Model time in seconds; 0 is Monday 00:00. */
export type ModelTime = number

/** A quantity that changes with model time. Pure: the order and number of calls make no difference. */
export type Process = (time: ModelTime) => number

const STEPS_PER_CORRELATION_TIME = 8
/** The oldest innovation still counted weighs e^-5 of the newest. */
const INNOVATIONS = 5 * STEPS_PER_CORRELATION_TIME
/** Devices of a room ask for about the same times; a few hundred grid points serve them all. */
const REMEMBERED_POINTS = 256

/**
 * Ornstein-Uhlenbeck process with mean 0 and deviation 1, whose autocorrelation falls to 1/e after
 * `correlationSeconds`. Written as a moving average over hashed innovations on a grid, so that any time can be
 * asked for without walking there; linear between grid points.
 */
export function ornsteinUhlenbeck(stream: Stream, correlationSeconds: number): Process {
  const step = correlationSeconds / STEPS_PER_CORRELATION_TIME
  const decay = Math.exp(-1 / STEPS_PER_CORRELATION_TIME)
  const scale = Math.sqrt((1 - decay ** 2) / (1 - decay ** (2 * INNOVATIONS)))
  const remembered = new Map<number, number>()

  function atGridPoint(n: number): number {
    const known = remembered.get(n)
    if (known !== undefined) return known
    let sum = 0
    for (let age = INNOVATIONS - 1; age >= 0; age--) sum = sum * decay + stream.gaussian(n - age)
    const value = sum * scale
    if (remembered.size >= REMEMBERED_POINTS) remembered.clear()
    remembered.set(n, value)
    return value
  }

  return (time) => {
    const position = time / step
    const n = Math.floor(position)
    const before = atGridPoint(n)
    return before + (atGridPoint(n + 1) - before) * (position - n)
  }
}

/** Something that switches on and off: a compressor, a heating valve. */
export interface DutyCycle {
  readonly on: boolean
  /** Share of the present on or off phase that has gone by, 0 to 1. */
  readonly progress: number
  /** Seconds since the present phase began. */
  readonly seconds: number
}

/**
 * Cycles of about `periodSeconds`, each between 0.8 and 1.2 of it, the first at a random point.
 * `duty`: share of a cycle spent on, asked for at the cycle's beginning, 0 to 1.
 */
export function dutyCycle(
  stream: Stream,
  periodSeconds: number,
  duty: Process,
): (time: ModelTime) => DutyCycle {
  const phase = stream.uniform(-1) * periodSeconds
  const beginning = (n: number): number => (n + 0.1 * (2 * stream.uniform(n) - 1)) * periodSeconds - phase

  return (time) => {
    let n = Math.floor((time + phase) / periodSeconds)
    if (time < beginning(n)) n--
    else if (time >= beginning(n + 1)) n++
    const start = beginning(n)
    const end = beginning(n + 1)
    const switchOff = start + (end - start) * clamp(duty(start), 0, 1)
    return time < switchOff
      ? { on: true, progress: (time - start) / (switchOff - start), seconds: time - start }
      : { on: false, progress: (time - switchOff) / (end - switchOff), seconds: time - switchOff }
  }
}

export function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value))
}
