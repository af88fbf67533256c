import { z } from 'zod'
import type { Stream } from '../random.js'
import { clockSkew } from './clock-skew.js'
import { dropout } from './dropout.js'
import type { FaultStep, Sample } from './fault.js'
import { flapping } from './flapping.js'
import type { ConnectionFault } from './flapping.js'
import { malformed } from './malformed.js'
import { spike } from './spike.js'
import { stuck } from './stuck.js'

/** Faults of readings, in the order in which they act on a sample. */
const readingFaults = { dropout, stuck, spike, clockSkew, malformed } as const

export const faultsSchema = z.strictObject({
  dropout: dropout.optional(),
  stuck: stuck.optional(),
  spike: spike.optional(),
  clockSkew: clockSkew.optional(),
  malformed: malformed.optional(),
  flapping: flapping.optional(),
})
export type Faults = z.output<typeof faultsSchema>

export const faultNames = ['dropout', 'stuck', 'spike', 'clockSkew', 'malformed', 'flapping'] as const
export type FaultName = (typeof faultNames)[number]

/** The faults of one metric of a device, as one step; `struck` hears of each that acts. */
export function readingFault(
  faults: Faults,
  part: { device: Stream; metric: Stream; reading: (index: number) => number },
  struck: (fault: FaultName) => void,
): FaultStep {
  const steps = Object.keys(readingFaults).flatMap((key) => {
    const name = key as keyof typeof readingFaults
    const create = faults[name]
    if (create === undefined) return []
    const step = create({
      device: part.device.derive(name),
      metric: part.metric.derive(name),
      reading: part.reading,
    })
    return [{ name, step }]
  })
  return (sample) => {
    let current: Sample | undefined = sample
    for (const { name, step } of steps) {
      const next: Sample | undefined = step(current)
      if (next !== current) struck(name)
      if (next === undefined) return undefined
      current = next
    }
    return current
  }
}

export function connectionFault(faults: Faults, device: Stream): ConnectionFault {
  return faults.flapping?.(device.derive('flapping')) ?? (() => false)
}
