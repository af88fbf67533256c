import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Histogram } from './histogram.js'

describe('a histogram', () => {
  it('never understates a quantile, and overstates it by 1/128 at most', () => {
    const value = fc.oneof(fc.nat(300), fc.nat(100_000), fc.integer({ min: 0, max: 0xffff_ffff }))
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1, maxLength: 200 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, share) => {
          const histogram = new Histogram()
          for (const each of values) histogram.record(each)
          const sorted = values.toSorted((a, b) => a - b)
          const exact = sorted[Math.max(1, Math.ceil(share * values.length)) - 1]!
          expect(histogram.quantile(share)).toBeGreaterThanOrEqual(exact)
          expect(histogram.quantile(share)).toBeLessThanOrEqual(exact * (1 + 1 / 128))
        },
      ),
    )
  })

  it('merges into what one histogram of all values would be', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1e9)), fc.array(fc.nat(1e9)), (left, right) => {
        const parts = [left, right].map((values) => {
          const histogram = new Histogram()
          for (const value of values) histogram.record(value)
          return histogram.state()
        })
        const whole = new Histogram()
        for (const value of [...left, ...right]) whole.record(value)
        expect(Histogram.from(parts).state()).toEqual(whole.state())
        expect(Histogram.from(parts).count).toBe(left.length + right.length)
      }),
    )
  })

  it('keeps what lies outside of its range at its ends', () => {
    const histogram = new Histogram()
    histogram.record(-5)
    histogram.record(2 ** 40)
    expect(histogram.quantile(0.5)).toBe(0)
    expect(histogram.max).toBe(2 ** 32 - 1)
    expect(histogram.quantile(1)).toBe(2 ** 32 - 1)
  })

  it('is empty again after a reset', () => {
    const histogram = new Histogram()
    histogram.record(7)
    histogram.reset()
    expect([histogram.count, histogram.max, histogram.quantile(0.99)]).toEqual([0, 0, 0])
  })
})
