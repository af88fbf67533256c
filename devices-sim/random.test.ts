import { describe, expect, it } from 'vitest'
import { Stream } from './random.js'

const N = 20_000

describe('Stream', () => {
  it('gives the same number at the same place, in any order', () => {
    const once = Stream.fromSeed(7).derive('a')
    const again = Stream.fromSeed(7).derive('a')
    const forth = Array.from({ length: 100 }, (_, n) => once.uniform(n - 50))
    const back = Array.from({ length: 100 }, (_, n) => again.uniform(49 - n)).reverse()
    expect(back).toEqual(forth)
  })

  it.each([0, 1, -1, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER])(
    'seed %d has a stream of its own',
    (seed) => {
      const other = Stream.fromSeed(seed === 5 ? 6 : 5)
      expect(Stream.fromSeed(seed).uniform(0)).not.toBe(other.uniform(0))
    },
  )

  it('spreads uniform numbers evenly', () => {
    const stream = Stream.fromSeed(1)
    const bins = new Array<number>(10).fill(0)
    for (let n = 0; n < N; n++) bins[stream.below(10, n)]!++
    for (const bin of bins) expect(Math.abs(bin - N / 10)).toBeLessThan(5 * Math.sqrt(N / 10))
  })

  it('has normal numbers of mean 0 and deviation 1, and independent neighbours', () => {
    const stream = Stream.fromSeed(2).derive('x')
    const numbers = Array.from({ length: N }, (_, n) => stream.gaussian(n))
    const mean = numbers.reduce((sum, x) => sum + x, 0) / N
    const variance = numbers.reduce((sum, x) => sum + (x - mean) ** 2, 0) / N
    const neighbours = numbers.slice(1).reduce((sum, x, n) => sum + x * numbers[n]!, 0) / N
    expect(Math.abs(mean)).toBeLessThan(0.03)
    expect(Math.abs(variance - 1)).toBeLessThan(0.05)
    expect(Math.abs(neighbours)).toBeLessThan(0.03)
  })

  it('keeps streams of similar names apart', () => {
    const root = Stream.fromSeed(3)
    const firsts = new Set(Array.from({ length: 10_000 }, (_, n) => root.derive(`device ${n}`).uniform(0)))
    // Two of 10,000 numbers of 32 bits may meet (expected: 0.01 pairs).
    expect(firsts.size).toBeGreaterThan(9_997)
  })
})
