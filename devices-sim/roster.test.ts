import { describe, expect, it } from 'vitest'
import { loadProfile } from './profile/load.js'
import { Stream } from './random.js'
import { planDevices, type DevicePlan } from './roster.js'

const profile = loadProfile('office', {})

function plan(count: number, { prefix = '', seed = 1 } = {}): DevicePlan[] {
  return planDevices(profile, count, prefix, Stream.fromSeed(seed))
}

function readings(plans: readonly DevicePlan[]): number[][] {
  return plans.flatMap(({ metrics }) =>
    metrics.map(({ sensor }) => Array.from({ length: 50 }, (_, n) => sensor(n * 937, n))),
  )
}

describe('planDevices', () => {
  it('spreads devices over rooms and kinds by their shares', () => {
    const plans = plan(2_400)
    const inRoom = (room: string): DevicePlan[] => plans.filter((device) => device.room === room)
    expect(inRoom('open-space')).toHaveLength(600)
    expect(inRoom('lobby')).toHaveLength(300)
    expect(inRoom('lobby').filter(({ name }) => name.startsWith('meter'))).toHaveLength(100)
  })

  it('gives every room every kind in the default fleet', () => {
    const topics = new Set(
      plan(24).flatMap(({ metrics }) => metrics.map(({ topic }) => topic.replace(/[^/]+\/([^/]+)$/, '$1'))),
    )
    expect(topics.size).toBe(6 * 3)
  })

  it('names devices once, and topics after them', () => {
    const plans = plan(500, { prefix: 'x-' })
    expect(new Set(plans.map(({ name }) => name)).size).toBe(500)
    for (const { name, site, room, metrics } of plans) {
      expect(name).toMatch(/^x-(climate|meter)-\d{4}$/)
      for (const { topic, metric } of metrics) expect(topic).toBe(`sensors/${site}/${room}/${name}/${metric}`)
    }
  })

  it('one seed gives the same readings, whatever the size and the prefix of the fleet', () => {
    const small = readings(plan(10))
    expect(readings(plan(200, { prefix: 'b-' })).slice(0, small.length)).toEqual(small)
    expect(readings(plan(10, { seed: 2 }))).not.toEqual(small)
  })
})
