import { z } from 'zod'
import type { Stream } from '../random.js'

/** A reading on its way to the wire. */
export interface Sample {
  readonly index: number
  /** Milliseconds since the epoch, as the device believes. */
  readonly ts: number
  readonly value: number
  /** Sent instead of the JSON of `ts` and `value`: no reading any more. */
  readonly garbage?: Buffer
}

/** What a fault may know of the sensor that it sits on. */
export interface FaultyPart {
  /** Randomness of this fault on this device. */
  readonly device: Stream
  /** Randomness of this fault on this metric of the device. */
  readonly metric: Stream
  /** What the sensor reads at a sample, without faults. */
  readonly reading: (index: number) => number
}

/**
 * A step between sensor and wire. Returns the sample itself when the fault does not strike, another one when it
 * does, `undefined` when nothing is to be sent. Depends on the sample's index alone, as readings do.
 */
export type FaultStep = (sample: Sample) => Sample | undefined

/** Declares a fault of readings: its settings in a profile, and the step that carries it out. */
export function defineFault<Shape extends z.ZodRawShape>(fault: {
  summary: string
  settings: z.ZodObject<Shape, z.core.$strict>
  create(settings: z.output<z.ZodObject<Shape, z.core.$strict>>, part: FaultyPart): FaultStep
}) {
  return fault.settings
    .describe(fault.summary)
    .transform((settings) => (part: FaultyPart) => fault.create(settings, part))
}

export const probability = z.number().min(0).max(1)

/**
 * First sample of the episode that covers `index`, if there is one: each sample begins an episode of `length`
 * samples with probability `chance`.
 */
export function episodeAt(stream: Stream, index: number, chance: number, length: number): number | undefined {
  for (let start = Math.max(0, index - length + 1); start <= index; start++) {
    if (stream.uniform(start) < chance) return start
  }
  return undefined
}

export const episodeSamples = z.int().min(1).max(100)
