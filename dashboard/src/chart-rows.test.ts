import { expect, it } from 'vitest'
import { chartRows } from './chart-rows.js'
import { digitsFor, formatValue } from './metric.js'

const at = (end: number) => ({ start: end - 5, end, count: 1, min: 0, max: 0, avg: 0, last: 0 })

it('interrupts the line where points are missing', () => {
  const rows = chartRows([at(5), at(10), at(25), at(45), at(50)], 5)
  expect(rows.map(({ time, point }) => [time, point !== undefined])).toEqual([
    [5, true],
    [10, true],
    [25, true],
    [30, false],
    [45, true],
    [50, true],
  ])
})

it('shows both ends of a range with the same decimals', () => {
  const digits = digitsFor(80, 1_437.4)
  expect([80, 1_437.4].map((value) => formatValue(value, digits))).toEqual(['80', '1,437'])
  expect(formatValue(-0.04, digitsFor(-20, 20))).toBe('0.0')
})
