import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Rejected } from '../../../broker/contract/connector.js'
import { type BridgeRecord, type WindowResult } from '../../../broker/contract/connector.js'
import { parseDuration, type Duration } from '../../duration.js'
import { recordOf } from '../../runtime/testing.js'
import { TumblingWindow, type TumblingOptions } from './tumbling-window.js'

const T = 1_700_000_000_000 // a multiple of 5 s and of 1 min is near: see `start`
const start = T - (T % 60_000)

function d(text: string): Duration {
  return parseDuration(text)!
}

function windowOf(options: Partial<TumblingOptions> = {}): TumblingWindow {
  return new TumblingWindow({
    sizes: [d('5s')],
    by: ['room'],
    value: 'value',
    time: 'ts',
    timeUnit: 'ms',
    lateness: d('1s'),
    idle: d('1s'),
    maxAhead: d('10s'),
    maxBehind: d('1d'),
    maxGroups: 100,
    aggregates: ['count', 'min', 'max', 'avg', 'last', 'first', 'sum', 'stddev'],
    ...options,
  })
}

/** A reading made at `at` milliseconds after `start`, that arrives `delay` later. */
function reading(
  at: number,
  value: unknown,
  { room = 'a', delay = 0, tokens = [] as number[] } = {},
): BridgeRecord {
  return recordOf(
    { ts: start + at, value },
    { captures: { room, device: 'd' }, receivedAt: start + at + delay, tokens },
  )
}

function reasonOf(task: () => unknown): string | undefined {
  try {
    task()
    return undefined
  } catch (error) {
    return (error as Rejected).reason
  }
}

function valuesOf(results: readonly WindowResult[]): unknown[] {
  return results.map(({ captures, value }) => {
    const { start: from, count, partial } = value as { start: number; count: number; partial?: boolean }
    return [captures['room'], from - start, count, ...(partial === true ? ['partial'] : [])]
  })
}

describe('a tumbling window', () => {
  it('gives the figures of its readings, and the captures of its group', () => {
    const window = windowOf()
    for (const [at, value] of [
      [100, 4],
      [3_000, 8],
      [2_000, 6],
      [7_000, 1],
    ] as const)
      window.add(reading(at, value))
    const [result] = window.advance(start + 7_000)
    expect(result?.value).toEqual({
      start,
      end: start + 5_000,
      count: 3,
      min: 4,
      max: 8,
      avg: 6,
      last: 8,
      first: 4,
      sum: 18,
      stddev: Math.sqrt(8 / 3),
    })
    expect(result?.captures).toEqual({ room: 'a', window: '5s' })
    expect(result?.windowEnd).toBe(start + 5_000)
  })

  it('closes when event time has passed its end by the lateness, and counts what comes later as late', () => {
    const window = windowOf()
    window.add(reading(4_000, 1))
    window.add(reading(5_999, 1))
    expect(window.advance(start + 5_999)).toEqual([])
    window.add(reading(4_999, 1, { delay: 1_000 }))
    window.add(reading(6_000, 1))
    expect(valuesOf(window.advance(start + 6_000))).toEqual([['a', 0, 2]])
    expect(reasonOf(() => window.add(reading(4_999, 1, { delay: 2_000 })))).toBe('late')
  })

  it('closes by our clock when its group is silent', () => {
    const window = windowOf()
    window.add(reading(4_000, 1))
    // 4 s + silence beyond the idle second reaches 5 s + lateness at 4 + 1 + 2 s.
    expect(window.advance(start + 6_999)).toEqual([])
    expect(valuesOf(window.advance(start + 7_000))).toEqual([['a', 0, 1]])
    expect(reasonOf(() => window.add(reading(4_500, 1, { delay: 3_000 })))).toBe('late')
  })

  it('takes what a device has stored while it was silent', () => {
    const window = windowOf()
    window.add(reading(4_000, 1))
    window.advance(start + 600_000)
    expect(reasonOf(() => window.add(reading(6_000, 1, { delay: 594_000 })))).toBeUndefined()
    expect(reasonOf(() => window.add(reading(11_000, 1, { delay: 589_000 })))).toBeUndefined()
    expect(valuesOf(window.advance(start + 600_000))).toEqual([['a', 5_000, 1]])
  })

  it('is closed early by no clock that is ahead, and keeps groups apart', () => {
    const window = windowOf()
    window.add(reading(1_000, 1))
    window.add(
      recordOf({ ts: start + 9_000, value: 1 }, { captures: { room: 'a' }, receivedAt: start + 1_100 }),
    )
    window.add(
      recordOf({ ts: start + 9_000, value: 1 }, { captures: { room: 'b' }, receivedAt: start + 1_100 }),
    )
    expect(window.advance(start + 1_200)).toEqual([])
    window.add(reading(1_300, 1))
    expect(valuesOf(window.advance(start + 20_000))).toEqual([
      ['a', 0, 2],
      ['a', 5_000, 1],
      ['b', 5_000, 1],
    ])
  })

  it('refuses readings far outside of time, without a time, and without a number', () => {
    const window = windowOf()
    const refused = (value: unknown): string | undefined =>
      reasonOf(() => window.add(recordOf(value, { receivedAt: start })))
    expect(refused({ ts: start + 10_001, value: 1 })).toBe('time_ahead')
    expect(refused({ ts: start - 86_400_001, value: 1 })).toBe('time_behind')
    expect(refused({ ts: start / 1_000, value: 1 })).toBe('time_behind')
    expect(refused({ ts: 1e308, value: 1 })).toBe('time_ahead')
    for (const ts of ['now', null, undefined, {}, JSON.parse('1e999') as number])
      expect(refused({ ts, value: 1 })).toBe('no_time')
    for (const value of ['21', null, undefined, true, [], {}, JSON.parse('1e999') as number, 1e151])
      expect(refused({ ts: start, value })).toBe('no_number')
    for (const value of [null, 5, 'x', []]) expect(refused(value)).toBe('no_number')
    expect(window.groups).toBe(0)
  })

  it('reads seconds, ISO 8601, and the time of arrival', () => {
    const at = new Date(start + 1_500)
    const counted = (options: Partial<TumblingOptions>, ts: unknown): unknown[] => {
      const window = windowOf(options)
      window.add(recordOf({ ts, value: 1 }, { receivedAt: start + 2_000, captures: { room: 'a' } }))
      return valuesOf(window.flush(start + 2_000))
    }
    const one = [['a', 0, 1, 'partial']]
    expect(counted({ timeUnit: 's' }, start / 1_000 + 1.5)).toEqual(one)
    expect(counted({ timeUnit: 'iso' }, at.toISOString())).toEqual(one)
    expect(counted({ time: undefined }, 'whatever')).toEqual(one)
    expect(reasonOf(() => counted({ timeUnit: 'iso' }, '2026-01-01T00:00:00'))).toBe('no_time')
  })

  it('bounds its groups, and forgets silent ones', () => {
    const window = windowOf({ maxGroups: 2 })
    window.add(reading(0, 1, { room: 'a' }))
    window.add(reading(0, 1, { room: 'b' }))
    expect(reasonOf(() => window.add(reading(0, 1, { room: 'c' })))).toBe('too_many_groups')
    window.advance(start + 10_000)
    expect(window.groups).toBe(2)
    window.advance(start + 600_001)
    expect(window.groups).toBe(0)
    expect(reasonOf(() => window.add(reading(700_000, 1, { room: 'c' })))).toBeUndefined()
  })

  it('keeps several lengths at once; late for one is not late for another', () => {
    const window = windowOf({ sizes: [d('5s'), d('1m')] })
    expect(window.add(reading(1_000, 1, { tokens: [1] }))).toBe(2)
    window.add(reading(8_000, 1))
    window.advance(start + 8_000)
    expect(window.add(reading(2_000, 1, { delay: 6_000, tokens: [2] }))).toBe(1)
    expect(window.partlyLate).toBe(1)
    const results = window.flush(start + 8_000)
    expect(
      results.map(({ captures, tokens, value }) => [
        captures['window'],
        tokens,
        (value as { count: number }).count,
      ]),
    ).toEqual([
      ['5s', [], 1],
      ['1m', [1, 2], 3],
    ])
  })

  it('hands over tokens with the result, except for those settled early', () => {
    const window = windowOf()
    for (const token of [1, 2, 3]) window.add(reading(token * 10, 1, { tokens: [token] }))
    window.forget(3)
    expect(window.flush(start + 100)[0]?.tokens).toEqual([3])
  })

  it('agrees with a recomputation from all readings, shuffled within the lateness', () => {
    const readings = fc.array(
      fc.record({
        at: fc.integer({ min: 0, max: 200_000 }),
        value: fc.integer({ min: -1_000, max: 1_000 }),
        room: fc.constantFrom('a', 'b', 'c'),
        jitter: fc.integer({ min: 0, max: 1_000 }),
      }),
      { maxLength: 400 },
    )
    fc.assert(
      fc.property(readings, fc.constantFrom('1s', '5s', '1m'), (all, size) => {
        const window = windowOf({ sizes: [d(size)] })
        const results: WindowResult[] = []
        // The order of arrival: nobody is later than the lateness of a second.
        const arrivals = [...all].sort((a, b) => a.at + a.jitter - b.at - b.jitter)
        for (const { at, value, room, jitter } of arrivals) {
          results.push(...window.advance(start + at + jitter))
          window.add(reading(at, value, { room, delay: jitter }))
        }
        results.push(...window.flush(start + 1_000_000))

        const naive = new Map<string, { at: number; value: number; order: number }[]>()
        for (const [order, { at, value, room }] of arrivals.entries()) {
          const key = `${room} ${Math.floor(at / d(size).ms) * d(size).ms}`
          naive.set(key, [...(naive.get(key) ?? []), { at, value, order }])
        }
        expect(
          results
            .map(({ captures, value }) => `${captures['room']} ${(value as { start: number }).start - start}`)
            .sort(),
        ).toEqual([...naive.keys()].sort())
        for (const { captures, value } of results) {
          const figures = value as Record<string, number>
          const members = naive.get(`${captures['room']} ${figures['start']! - start}`)!
          const numbers = members.map((member) => member.value)
          const byTime = [...members].sort((a, b) => a.at - b.at || a.order - b.order)
          const sum = numbers.reduce((left, right) => left + right, 0)
          const mean = sum / numbers.length
          expect(figures['count']).toBe(numbers.length)
          expect(figures['min']).toBe(Math.min(...numbers))
          expect(figures['max']).toBe(Math.max(...numbers))
          expect(figures['sum']).toBe(sum)
          expect(figures['avg']).toBe(mean)
          expect(figures['first']).toBe(byTime[0]!.value)
          expect(figures['last']).toBe(byTime.at(-1)!.value)
          const variance = numbers.reduce((left, n) => left + (n - mean) ** 2, 0) / numbers.length
          expect(figures['stddev']).toBeCloseTo(Math.sqrt(variance), 6)
        }
      }),
      { numRuns: 200 },
    )
  })
})
