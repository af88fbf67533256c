import type { z } from 'zod'
import type { Stream } from '../random.js'
import type { ModelTime } from '../surroundings/processes.js'
import type { Room } from '../surroundings/room.js'
import type { Weather } from '../surroundings/weather.js'

/** Where a sensor is, and the randomness that is its own. */
export interface Place {
  readonly weather: Weather
  readonly room: Room
  readonly stream: Stream
}

/**
 * What a sensor reads at its sample number `index`, taken at `time`. Pure: the same arguments give the same
 * reading, in any order, so that a run can be repeated and recomputed.
 */
export type Sensor = (time: ModelTime, index: number) => number

/** Builds the sensor of one device; what a profile's metric is parsed into. */
export type SensorFactory = (place: Place) => Sensor

/**
 * Declares a sensor model. `settings` is the strict schema of its section in a profile: the literal `model`, and keys
 * that each have a default and a description.
 */
export function defineModel<Shape extends z.ZodRawShape & { model: z.ZodLiteral<string> }>(model: {
  summary: string
  settings: z.ZodObject<Shape, z.core.$strict>
  create(settings: z.output<z.ZodObject<Shape, z.core.$strict>>, place: Place): Sensor
}) {
  return model.settings.describe(model.summary).transform(
    (settings): SensorFactory =>
      (place) =>
        model.create(settings, place),
  )
}

/** What every physical sensor adds to the truth: it is set up a little off, noisy, ages, and has few digits. */
export interface Imperfection {
  /** Deviation of the fixed offset from device to device. */
  readonly offset: number
  /** Deviation of the noise of a single reading. */
  readonly noise: number
  /** Smallest step that it can tell apart. */
  readonly resolution: number
}

export function imperfect(
  imperfection: Imperfection,
  stream: Stream,
): (truth: number, index: number) => number {
  const offset = imperfection.offset * stream.derive('offset').gaussian(0)
  const noise = stream.derive('noise')
  return (truth, index) =>
    quantise(truth + offset + imperfection.noise * noise.gaussian(index), imperfection.resolution)
}

/** To the nearest multiple of `resolution`, without the tails of binary fractions (21.400000000000002). */
export function quantise(value: number, resolution: number): number {
  return Number((Math.round(value / resolution) * resolution).toPrecision(12))
}
