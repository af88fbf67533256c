import { expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'
import type { Publish, QoS } from '../harness/raw-client.js'

const COUNT = 200
const limits = { receiveMaximum: COUNT }
const stores = { memory: useGateway({ limits }), level: useGateway({ limits, store: { type: 'level' } }) }

test.each(['memory', 'level'] as const)(
  '[MQTT-4.6.0-5] [MQTT-4.6.0-6] messages of one publisher and topic keep their order for each QoS (%s)',
  async (kind) => {
    const gateway = stores[kind]
    const topic = unique('t')
    const subscriber = await gateway.connect()
    await subscriber.subscribe(topic, 2)
    const durable = await gateway.connect({ properties: { sessionExpiryInterval: 60 } })
    await durable.subscribe(topic, 2)
    const publisher = await gateway.connect()
    for (let i = 0; i < COUNT; i++)
      publisher.publish(topic, `${i}`, { qos: (i % 3) as QoS, retain: i % 7 === 0 })
    for (let i = 2; i < COUNT; i += 3) {
      const { messageId } = await publisher.next('pubrec')
      publisher.send({ cmd: 'pubrel', messageId: messageId! })
    }
    for (const client of [subscriber, durable]) {
      const seen: number[][] = [[], [], []]
      const acknowledged: Promise<void>[] = []
      for (let i = 0; i < COUNT; i++) {
        const publish: Publish = await client.nextPublish()
        seen[publish.qos]?.push(Number(publish.payload.toString()))
        acknowledged.push(client.acknowledge(publish))
      }
      await Promise.all(acknowledged)
      for (const [qos, numbers] of seen.entries())
        expect(numbers).toEqual(Array.from({ length: COUNT }, (_, i) => i).filter((i) => i % 3 === qos))
    }
  },
)

test('[MQTT-4.6.0-1] what was under way is sent again in the original order, before what came later', async () => {
  const gateway = stores.level
  const topic = unique('t')
  const clientId = unique('c')
  const properties = { sessionExpiryInterval: 60 }
  const first = await gateway.connect({ clientId, properties })
  await first.subscribe(topic, 2)
  const publisher = await gateway.connect()
  for (let i = 0; i < 10; i++)
    await publisher.publishAcknowledged(topic, `${i}`, { qos: i % 2 === 0 ? 1 : 2 })
  for (let i = 0; i < 10; i++) await first.nextPublish()
  await first.abort()
  for (let i = 10; i < 20; i++) await publisher.publishAcknowledged(topic, `${i}`, { qos: 1 })
  const second = await gateway.connect({ clientId, clean: false, properties })
  expect(await second.nextPayloads(20)).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`))
})
