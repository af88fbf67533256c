import { describe, expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'
import type { Publish } from '../harness/raw-client.js'

const gateway = useGateway({
  store: { type: 'level' },
  access: { rules: [{ allow: 'both', topics: ['#', '$own/#', '$SYS/#'] }] },
})

/** Filter, topic, whether they match (MQTT 5, 4.7). */
const pairs: [string, string, boolean][] = [
  ['#', '/', true],
  ['+/+', '/finance', true],
  ['/+', '/finance', true],
  ['+', '/finance', false],
  ['sport/#', 'sport', true],
  ['sport/+', 'sport', false],
  ['sport/+', 'sport/', true],
  ['sport/+/player', 'sport//player', true],
  ['sport//player', 'sport/player', false],
  ['+/tennis/#', '/tennis', true],
  ['sport/tennis+', 'sport/tennis', false],
  ['Sport', 'sport', false],
  ['a/b/c/#', 'a/b', false],
  ['//', '//', true],
  ['+/+/+', '//', true],
]

describe.each(['live', 'queued', 'retained'] as const)('empty levels and wildcards, %s', (way) => {
  test.each(pairs)(
    '[MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] %s and %s: %s',
    async (filter, topic, matches) => {
      const clientId = unique('c')
      const properties = { sessionExpiryInterval: 60 }
      const publisher = await gateway.connect()
      let subscriber = await gateway.connect({ clientId, properties })
      if (way === 'retained') await publisher.publishAcknowledged(topic, way, { qos: 1, retain: true })
      const [code] = await subscriber.subscribe(filter, 1)
      if (way === 'queued') await subscriber.abort()
      if (way !== 'retained') {
        const { reasonCode } = await publisher.publishAcknowledged(topic, way, { qos: 1 })
        expect(reasonCode).toBe(matches ? 0 : 0x10)
      }
      if (way === 'queued') subscriber = await gateway.connect({ clientId, clean: false, properties })
      if (matches) expect((await subscriber.nextPublish()).topic).toBe(topic)
      expect(await subscriber.settled()).toEqual([])
      expect(code).toBe(filter.includes('tennis+') ? 0x8f : 1)
      if (way === 'retained') await publisher.publishAcknowledged(topic, '', { qos: 1, retain: true })
      await subscriber.disconnect(0, { sessionExpiryInterval: 0 })
    },
  )
})

describe('topics that begin with $', () => {
  test('[MQTT-4.7.2-1] are hidden from filters that begin with a wildcard', async () => {
    const name = unique('x')
    const client = await gateway.connect()
    await client.subscribe([
      { topic: '#', qos: 0 },
      { topic: `+/${name}`, qos: 0 },
    ])
    client.publish(`$own/${name}`, 'hidden', { retain: true })
    client.publish(`own/${name}`, 'seen')
    expect(await client.settled()).toMatchObject([{ topic: `own/${name}` }])
    await client.subscribe([{ topic: '#' }])
    expect(((await client.settled()) as Publish[]).map(({ topic }) => topic)).not.toContain(`$own/${name}`)
  })

  test('[MQTT-4.7.2-1] are seen by filters that name them', async () => {
    const name = unique('x')
    const client = await gateway.connect()
    await client.subscribe([{ topic: `$own/${name}/+` }])
    client.publish(`$own/${name}/x`, 'seen')
    expect(await client.settled()).toMatchObject([{ topic: `$own/${name}/x` }])
  })

  test('a $ further on is a character like any other', async () => {
    const name = unique('x')
    const client = await gateway.connect()
    await client.subscribe([{ topic: `+/${name}/+` }])
    client.publish(`a/${name}/$b`, 'seen')
    expect(await client.settled()).toHaveLength(1)
  })
})
