import { describe, expect, it } from 'vitest'
import { parseProfile } from '../profile/load.js'
import { Stream } from '../random.js'
import { planDevices } from '../roster.js'
import { DAY, HOUR } from '../surroundings/calendar.js'
import { relativeHumidity } from './humidity.js'
import { quantise, type Sensor } from './model.js'

const profile = parseProfile(
  `
sites:
  - name: site
    weather: { meanCelsius: 10, dailySwing: 8, drift: 2 }
    rooms: [{ name: room }]
devices:
  - name: all
    metrics:
      temperature: { model: temperature }
      humidity: { model: humidity }
      power: { model: power }
`,
  { name: undefined, environment: {} },
)

const MINUTE = 60

/** Minute by minute over two workweeks of three devices of one room. */
function sensors(seed: number): Record<'temperature' | 'humidity' | 'power', Sensor>[] {
  return planDevices(profile, 3, '', Stream.fromSeed(seed)).map(
    ({ metrics }) => Object.fromEntries(metrics.map(({ metric, sensor }) => [metric, sensor])) as never,
  )
}

function average(sensor: Sensor, from: number, to: number): number {
  let sum = 0
  for (let time = from; time < to; time += MINUTE) sum += sensor(time, time / MINUTE)
  return sum / ((to - from) / MINUTE)
}

function correlation(xs: readonly number[], ys: readonly number[]): number {
  const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length
  const [mx, my] = [mean(xs), mean(ys)]
  const cross = mean(xs.map((x, n) => (x - mx) * (ys[n]! - my)))
  return cross / Math.sqrt(mean(xs.map((x) => (x - mx) ** 2)) * mean(ys.map((y) => (y - my) ** 2)))
}

describe.each([1, 2, 3, 4])('sensor models, seed %d', (seed) => {
  const [one, two] = sensors(seed)
  const times = Array.from({ length: (4 * DAY) / MINUTE }, (_, n) => n * MINUTE)
  const path = (sensor: Sensor): number[] => times.map((time, index) => sensor(time, index))

  it('temperature: warm by day, set back at night, within what a building does', () => {
    const readings = path(one!.temperature)
    expect(Math.min(...readings)).toBeGreaterThan(13)
    expect(Math.max(...readings)).toBeLessThan(27)
    for (const day of [0, 1, 2, 3]) {
      const noon = average(one!.temperature, day * DAY + 11 * HOUR, day * DAY + 15 * HOUR)
      const night = average(one!.temperature, day * DAY + 2 * HOUR, day * DAY + 5 * HOUR)
      expect(noon - night).toBeGreaterThan(1.5)
      expect(noon - night).toBeLessThan(6)
    }
  })

  it('temperature: neighbours in time are close, and two sensors of a room follow the same air', () => {
    const [first, second] = [path(one!.temperature), path(two!.temperature)]
    expect(correlation(first.slice(0, -1), first.slice(1))).toBeGreaterThan(0.98)
    expect(correlation(first, second)).toBeGreaterThan(0.95)
    expect(first).not.toEqual(second)
  })

  it('temperature and humidity come in the steps of the sensor', () => {
    for (const x of path(one!.temperature)) expect(String(x)).toMatch(/^-?\d+(\.\d)?$/)
    for (const x of path(one!.humidity)) expect(x * 2).toBe(Math.round(x * 2))
  })

  it('humidity: within 5 to 95 %, and drier while the room is warm', () => {
    const humid = path(one!.humidity)
    expect(Math.min(...humid)).toBeGreaterThan(5)
    expect(Math.max(...humid)).toBeLessThan(95)
    const hour = (sensor: Sensor): number[] =>
      times.filter((t) => t % HOUR === 0).map((t) => sensor(t, t / MINUTE))
    const steps = (xs: number[]): number[] => xs.slice(1).map((x, n) => x - xs[n]!)
    expect(correlation(steps(hour(one!.temperature)), steps(hour(one!.humidity)))).toBeLessThan(-0.2)
  })

  it('power: never negative, higher while people are there, and quiet at the weekend', () => {
    expect(Math.min(...path(one!.power))).toBeGreaterThan(0)
    const working = average(one!.power, DAY + 9 * HOUR, DAY + 17 * HOUR)
    const night = average(one!.power, DAY, DAY + 5 * HOUR)
    const sunday = average(one!.power, 6 * DAY + 9 * HOUR, 6 * DAY + 17 * HOUR)
    expect(working).toBeGreaterThan(2 * night)
    expect(working).toBeGreaterThan(2 * sunday)
  })

  it('power: switches in steps', () => {
    const readings = path(one!.power)
    const jumps = readings.slice(1).filter((x, n) => Math.abs(x - readings[n]!) > 60)
    expect(jumps.length).toBeGreaterThan(100)
    expect(jumps.length).toBeLessThan(readings.length / 4)
  })

  it('reads the same in any order', () => {
    const again = sensors(seed)[0]!
    for (const metric of ['temperature', 'humidity', 'power'] as const) {
      const forth = path(one![metric])
      for (let n = times.length - 1; n >= 0; n -= 97) expect(again[metric](times[n]!, n)).toBe(forth[n])
    }
  })
})

describe('relativeHumidity', () => {
  it('is 100 % at the dew point, and agrees with the tables', () => {
    expect(relativeHumidity(12, 12)).toBeCloseTo(100, 6)
    expect(relativeHumidity(9.3, 20)).toBeCloseTo(50, 0)
  })
})

describe('quantise', () => {
  it('leaves no binary tails', () => {
    expect(quantise(21.44, 0.1)).toBe(21.4)
    expect(quantise(-0.26, 0.5)).toBe(-0.5)
    expect(quantise(1234.6, 10)).toBe(1230)
  })
})
