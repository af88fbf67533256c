import { describe, expect, it } from 'vitest'
import { ratiosOf, slopeOf, spreadOf } from './statistics.js'

describe('statistics of runs', () => {
  it('interpolates median and quartiles', () => {
    expect(spreadOf([4, 1, 3, 2])).toEqual({ median: 2.5, q1: 1.75, q3: 3.25 })
    expect(spreadOf([7])).toEqual({ median: 7, q1: 7, q3: 7 })
    expect(spreadOf([]).median).toBeNaN()
  })

  it('divides runs of the same turn, and leaves out those that cannot be', () => {
    expect(ratiosOf([8, 6, 5, 1], [2, 3, 0])).toEqual([4, 2])
    expect(ratiosOf([NaN, 3], [1, 1])).toEqual([3])
  })

  it('finds the slope of a line, and none in a point', () => {
    expect(slopeOf([0, 1, 2, 3].map((x) => [x, 3 * x + 7] as const))).toBeCloseTo(3)
    expect(slopeOf([[1, 5]])).toBe(0)
  })
})
