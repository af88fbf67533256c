import { describe, expect, it } from 'vitest'
import { Stream } from '../random.js'
import type { Sample } from './fault.js'
import { connectionFault, faultsSchema, readingFault, type FaultName } from './registry.js'

const N = 20_000
const root = Stream.fromSeed(9)

function run(settings: object, device = root.derive('device')) {
  const struck = new Map<FaultName, number>()
  const step = readingFault(
    faultsSchema.parse(settings),
    { device, metric: device.derive('metric'), reading: (index) => index },
    (name) => struck.set(name, (struck.get(name) ?? 0) + 1),
  )
  const samples = Array.from({ length: N }, (_, index): Sample => ({
    index,
    ts: 1_000_000 + index,
    value: index,
  }))
  return { samples, sent: samples.map(step), struck }
}

describe('faults of readings', () => {
  it('without faults samples pass as they are', () => {
    const { samples, sent, struck } = run({})
    expect(sent).toEqual(samples)
    expect(struck.size).toBe(0)
  })

  it('dropout: whole runs are missing, as often as the profile says', () => {
    const { sent, struck } = run({ dropout: { probability: 0.01, samples: 10 } })
    const missing = sent.filter((sample) => sample === undefined).length
    expect(struck.get('dropout')).toBe(missing)
    // 1 - (1 - 0.01)^10 of all samples lie in a dropout.
    expect(missing / N).toBeGreaterThan(0.07)
    expect(missing / N).toBeLessThan(0.12)
  })

  it('stuck: the value of the first sample is repeated', () => {
    const { sent } = run({ stuck: { probability: 0.005, samples: 20 } })
    const stuck = sent.filter((sample) => sample!.value !== sample!.index)
    expect(stuck.length).toBeGreaterThan(N * 0.05)
    for (const sample of stuck) {
      expect(sample!.value).toBeLessThan(sample!.index)
      expect(sample!.index - sample!.value).toBeLessThan(20)
    }
  })

  it('spike: single readings lie off by the given size, up and down', () => {
    const { sent } = run({ spike: { probability: 0.02, size: 4 } })
    const spikes = sent.filter((sample) => sample!.value !== sample!.index)
    expect(spikes.length / N).toBeCloseTo(0.02, 2)
    for (const sample of spikes) {
      expect(Math.abs(sample!.value - sample!.index)).toBe(4 * Math.max(1, sample!.index))
    }
    expect(new Set(spikes.map((sample) => sample!.value > sample!.index)).size).toBe(2)
  })

  it('clock skew: some devices, by a fixed amount within the bound', () => {
    const skews = Array.from({ length: 200 }, (_, n) => {
      const { samples, sent } = run({ clockSkew: { devices: 0.25, maxSeconds: 60 } }, root.derive(`d${n}`))
      const skew = sent[0]!.ts - samples[0]!.ts
      expect(sent.at(-1)!.ts - samples.at(-1)!.ts).toBe(skew)
      expect(Math.abs(skew)).toBeLessThanOrEqual(60_000)
      return skew
    })
    const skewed = skews.filter((skew) => skew !== 0).length
    expect(skewed).toBeGreaterThan(30)
    expect(skewed).toBeLessThan(75)
  })

  it('malformed: no payload is a reading', () => {
    const { sent, struck } = run({ malformed: { probability: 0.05 } })
    const garbage = sent.flatMap((sample) => sample!.garbage ?? [])
    expect(garbage.length).toBe(struck.get('malformed'))
    expect(garbage.length).toBeGreaterThan(N * 0.04)
    for (const payload of garbage) expect(isReading(payload)).toBe(false)
  })

  it('strikes the same samples in every run', () => {
    const settings = {
      dropout: { probability: 0.01 },
      spike: { probability: 0.01 },
      malformed: { probability: 0.01 },
    }
    expect(run(settings).sent).toEqual(run(settings).sent)
  })
})

describe('flapping', () => {
  it('hits the given share of devices, and never the others', () => {
    const faults = faultsSchema.parse({ flapping: { devices: 0.3, probability: 0.1 } })
    const cuts = Array.from({ length: 200 }, (_, n) => {
      const cut = connectionFault(faults, root.derive(`d${n}`))
      return Array.from({ length: 500 }, (__, index) => cut(index)).filter(Boolean).length
    })
    const flapping = cuts.filter((count) => count > 0)
    expect(flapping.length).toBeGreaterThan(40)
    expect(flapping.length).toBeLessThan(85)
    for (const count of flapping) expect(count).toBeGreaterThan(20)
  })
})

function isReading(payload: Buffer): boolean {
  try {
    const value: unknown = JSON.parse(payload.toString())
    return typeof (value as { value?: unknown } | null)?.value === 'number'
  } catch {
    return false
  }
}
