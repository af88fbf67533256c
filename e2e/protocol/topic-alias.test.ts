import { describe, expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'
import { cutPackets } from '../harness/packet-bytes.js'
import type { Publish } from '../harness/raw-client.js'

const gateway = useGateway({ limits: { topicAliasMaximum: 3 } })

describe('from a client', () => {
  test('[MQTT-3.3.2-12] every alias up to the Topic Alias Maximum of CONNACK is accepted', async () => {
    const root = unique('t')
    const subscriber = await gateway.connect()
    await subscriber.subscribe(`${root}/#`)
    const publisher = await gateway.connect()
    expect(publisher.connack.properties?.topicAliasMaximum).toBe(3)
    for (const topicAlias of [1, 2, 3]) {
      publisher.publish(`${root}/${topicAlias}`, 'named', { properties: { topicAlias } })
      publisher.publish('', 'by alias', { properties: { topicAlias } })
    }
    await publisher.settled()
    const topics = ((await subscriber.settled()) as Publish[]).map(({ topic }) => topic)
    expect(topics).toEqual([1, 1, 2, 2, 3, 3].map((alias) => `${root}/${alias}`))
  })

  test('[MQTT-3.3.2-12] an alias may be given to another topic', async () => {
    const root = unique('t')
    const client = await gateway.connect()
    await client.subscribe(`${root}/#`)
    for (const name of ['a', 'b']) {
      client.publish(`${root}/${name}`, '', { properties: { topicAlias: 1 } })
      client.publish('', '', { properties: { topicAlias: 1 } })
    }
    const topics = ((await client.settled()) as Publish[]).map(({ topic }) => topic)
    expect(topics).toEqual([`${root}/a`, `${root}/a`, `${root}/b`, `${root}/b`])
  })

  test.each([0, 4, 65_535])(
    '[MQTT-3.3.2-8] [MQTT-3.3.2-9] [MQTT-3.2.2-17] the alias %i ends the connection with 0x94',
    async (topicAlias) => {
      const client = await gateway.connect()
      client.publish('t', 'x', { properties: { topicAlias } })
      expect(await client.disconnectedByPeer()).toBe(0x94)
    },
  )

  test('[MQTT-3.3.2-7] an alias is forgotten with its connection', async () => {
    const clientId = unique('c')
    const first = await gateway.connect({ clientId, properties: { sessionExpiryInterval: 60 } })
    first.publish(unique('t'), 'x', { properties: { topicAlias: 1 } })
    await first.settled()
    await first.abort()
    const second = await gateway.connect({ clientId, clean: false })
    second.publish('', 'x', { properties: { topicAlias: 1 } })
    expect(await second.disconnectedByPeer()).toBe(0x82)
  })
})

describe('to a client', () => {
  test.each([undefined, 0])(
    '[MQTT-3.1.2-27] without a Topic Alias Maximum (%s) there are no aliases',
    async (topicAliasMaximum) => {
      const topic = unique('t')
      const client = await gateway.connect({
        properties: topicAliasMaximum === undefined ? {} : { topicAliasMaximum },
      })
      await client.subscribe(topic)
      for (let i = 0; i < 3; i++) {
        client.publish(topic, 'x')
        expect(await client.nextPublish()).toMatchObject({ topic })
      }
    },
  )

  test('[MQTT-3.1.2-26] [MQTT-3.3.2-11] aliases stay within its maximum and mean what was said', async () => {
    const root = unique('t')
    const client = await gateway.connect({ properties: { topicAliasMaximum: 2 } })
    await client.subscribe(`${root}/#`, 1)
    const known = new Map<number, string>()
    for (const name of ['a', 'b', 'a', 'c', 'b', 'b', 'a', 'c', 'c']) {
      const publisher = await gateway.connect()
      await publisher.publishAcknowledged(`${root}/${name}`, name, { qos: 1 })
      await publisher.disconnect()
      const { topic, payload, properties } = await client.nextPublish()
      const alias = properties?.topicAlias
      if (alias !== undefined) {
        expect(alias).toBeGreaterThan(0)
        expect(alias).toBeLessThanOrEqual(2)
        if (topic !== '') known.set(alias, topic)
      }
      expect(topic === '' ? known.get(alias ?? 0) : topic).toBe(`${root}/${payload.toString()}`)
    }
  })

  test('[MQTT-3.3.2-7] a new connection begins without aliases', async () => {
    const topic = unique('t')
    const clientId = unique('c')
    const properties = { sessionExpiryInterval: 60, topicAliasMaximum: 2 }
    const first = await gateway.connect({ clientId, properties })
    await first.subscribe(topic)
    for (let i = 0; i < 2; i++) first.publish(topic, 'x')
    await first.settled()
    await first.abort()
    const second = await gateway.connect({ clientId, clean: false, properties })
    second.publish(topic, 'x')
    expect((await second.nextPublish()).topic).toBe(topic)
  })

  test('[MQTT-3.1.2-25] an alias whose first packet was too large to be sent is never used alone', async () => {
    const topic = unique('t')
    const client = await gateway.connect({ properties: { topicAliasMaximum: 2, maximumPacketSize: 64 } })
    await client.subscribe(topic)
    const publisher = await gateway.connect()
    publisher.publish(topic, 'x'.repeat(100))
    publisher.publish(topic, 'small')
    expect(await client.nextPublish()).toMatchObject({ topic, payload: Buffer.from('small') })
  })

  test('[MQTT-3.1.2-24] an alias is left out where it would make the packet too large', async () => {
    const topic = unique('t')
    const bare = 2 + 2 + topic.length + 1
    const client = await gateway.connect({ properties: { topicAliasMaximum: 2, maximumPacketSize: 50 } })
    await client.subscribe(topic)
    client.bytes.length = 0
    const publisher = await gateway.connect()
    publisher.publish(topic, 'x'.repeat(50 - bare))
    expect((await client.nextPublish()).properties?.topicAlias).toBeUndefined()
    expect(cutPackets(Buffer.concat(client.bytes))[0]).toHaveLength(50)
  })
})
