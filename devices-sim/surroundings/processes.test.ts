import { describe, expect, it } from 'vitest'
import { Stream } from '../random.js'
import { dutyCycle, ornsteinUhlenbeck } from './processes.js'

describe('ornsteinUhlenbeck', () => {
  const process = ornsteinUhlenbeck(Stream.fromSeed(11), 1_000)
  const step = 125
  const path = Array.from({ length: 40_000 }, (_, n) => process(n * step))

  function autocorrelation(lagSeconds: number): number {
    const lag = lagSeconds / step
    const pairs = path.slice(lag).map((x, n) => x * path[n]!)
    return pairs.reduce((sum, x) => sum + x, 0) / pairs.length
  }

  it('has mean 0 and deviation 1', () => {
    expect(path.reduce((sum, x) => sum + x, 0) / path.length).toBeCloseTo(0, 1)
    expect(autocorrelation(0)).toBeGreaterThan(0.9)
    expect(autocorrelation(0)).toBeLessThan(1.1)
  })

  it('forgets exponentially: 1/e after the correlation time', () => {
    expect(autocorrelation(1_000)).toBeGreaterThan(0.3)
    expect(autocorrelation(1_000)).toBeLessThan(0.44)
    expect(Math.abs(autocorrelation(5_000))).toBeLessThan(0.06)
  })

  it('is the same whatever was asked before', () => {
    const backwards = ornsteinUhlenbeck(Stream.fromSeed(11), 1_000)
    for (let n = 2_000; n >= 0; n -= 7) expect(backwards(n * step)).toBe(path[n])
  })
})

describe('dutyCycle', () => {
  it('is on for its share of the time, in cycles of about its period', () => {
    const cycle = dutyCycle(Stream.fromSeed(5), 600, () => 0.4)
    let on = 0
    let starts = 0
    let before = cycle(0).on
    const seconds = 600_000
    for (let time = 0; time < seconds; time++) {
      const now = cycle(time)
      // Outside of `expect`, which takes longer than the cycle itself.
      if (!(now.progress >= 0 && now.progress <= 1)) expect.fail(`progress ${now.progress} at ${time}`)
      if (now.on) on++
      if (now.on && !before) starts++
      before = now.on
    }
    expect(on / seconds).toBeCloseTo(0.4, 2)
    expect(starts).toBeGreaterThan(998)
    expect(starts).toBeLessThan(1_002)
  })
})
