import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { unique, useGateway, type TestGateway } from './harness/gateway.js'

async function retain(gateway: TestGateway, topic: string, count: number, bytes: number): Promise<void> {
  const publisher = await gateway.connect()
  for (let i = 0; i < count; i++) {
    publisher.publish(`${topic}/${i}`, Buffer.alloc(bytes, i), { retain: true })
    if (publisher.socket.writableNeedDrain)
      await new Promise((resolve) => publisher.socket.once('drain', resolve))
  }
  await publisher.publishAcknowledged(`${topic}/last`, 'last', { qos: 1, retain: true })
  await publisher.disconnect()
}

describe('many retained messages', () => {
  const gateway = useGateway({ limits: { outboxSoftBytes: 200_000, queuedMessages: 400 } })

  it.each([{ slow: false }, { slow: true }])(
    'all reach a QoS 0 subscriber (slow: $slow)',
    async ({ slow }) => {
      const topic = unique('large')
      await retain(gateway, topic, 200, 50_000)
      const client = await gateway.connect()
      const granted = client.subscribe(`${topic}/#`)
      if (slow) {
        client.socket.pause()
        await delay(200)
        client.socket.resume()
      }
      await granted
      const topics = new Set<string>()
      while (topics.size < 201) topics.add((await client.nextPublish()).topic)
      expect(topics.has(`${topic}/last`)).toBe(true)
    },
  )

  it.each([{ sessionExpiryInterval: 0 }, { sessionExpiryInterval: 60 }])(
    'all reach a QoS 1 subscriber whose queue is smaller, once each ($sessionExpiryInterval s of session)',
    async (properties) => {
      const topic = unique('small')
      const publisher = await gateway.connect()
      for (let i = 0; i < 2_000; i++)
        await publisher.publishAcknowledged(`${topic}/${i}`, 'x', { qos: 1, retain: true })
      const client = await gateway.connect({ properties: { ...properties, receiveMaximum: 20 } })
      expect(await client.subscribe(`${topic}/#`, 1)).toEqual([1])
      const seen = new Map<string, number>()
      for (let i = 0; i < 2_000; i++) {
        const publish = await client.nextPublish()
        seen.set(publish.topic, (seen.get(publish.topic) ?? 0) + 1)
        await client.acknowledge(publish)
      }
      expect(seen.size).toBe(2_000)
      expect(await client.settled()).toEqual([])
    },
  )

  it('stop coming when the client unsubscribes, and begin anew with a new subscription', async () => {
    const topic = unique('again')
    await retain(gateway, topic, 1_000, 10)
    const client = await gateway.connect({ properties: { receiveMaximum: 1 } })
    const publisher = await gateway.connect()
    for (let i = 0; i < 1_000; i++)
      await publisher.publishAcknowledged(`${topic}/q/${i}`, 'x', { qos: 1, retain: true })
    await client.subscribe(`${topic}/q/#`, 1)
    const first = await client.nextPublish()
    await client.unsubscribe(`${topic}/q/#`)
    await client.subscribe(`${topic}/+`)
    const topics = new Set<string>()
    await client.acknowledge(first)
    while (topics.size < 1_001) {
      const publish = await client.nextPublish()
      if (publish.qos > 0) await client.acknowledge(publish)
      else topics.add(publish.topic)
    }
  })
})

describe('a SUBSCRIBE with as many filters as fit in a packet', () => {
  const gateway = useGateway({ limits: { subscriptionsPerClient: 100 } })

  it('is answered filter by filter, the repeated ones too', async () => {
    const client = await gateway.connect()
    const repeated = Array.from({ length: 10_000 }, () => ({ topic: 'a' }))
    const others = Array.from({ length: 10_000 }, (_, i) => ({ topic: `b/${i}` }))
    const codes = await client.subscribe([...repeated, ...others])
    expect(codes.filter((code) => code === 0)).toHaveLength(10_099)
    expect(codes.filter((code) => code === 0x97)).toHaveLength(9_901)
  })
})
