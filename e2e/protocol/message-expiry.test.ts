import { expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'

const gateway = useGateway()

async function sleeping(properties = {}) {
  const clientId = unique('c')
  const topic = unique('t')
  const client = await gateway.connect({
    clientId,
    properties: { sessionExpiryInterval: 3600, ...properties },
  })
  await client.subscribe(topic, 2)
  await client.disconnect()
  return { clientId, topic }
}

test('[MQTT-3.3.2-6] a live message carries the interval as it was received', async () => {
  const topic = unique('t')
  const client = await gateway.connect()
  await client.subscribe(topic, 1)
  for (const qos of [0, 1] as const) {
    client.publish(topic, 'x', { qos, properties: { messageExpiryInterval: 500 } })
    expect((await client.nextPublish()).properties?.messageExpiryInterval).toBe(500)
  }
})

test.each([1, 2] as const)(
  '[MQTT-3.3.2-6] a queued message carries what is left of the interval (QoS %i)',
  async (qos) => {
    const { clientId, topic } = await sleeping()
    const publisher = await gateway.connect()
    await publisher.publishAcknowledged(topic, 'x', { qos, properties: { messageExpiryInterval: 500 } })
    gateway.clock.skip(200)
    const client = await gateway.connect({ clientId, clean: false })
    expect((await client.nextPublish()).properties?.messageExpiryInterval).toBe(300)
  },
)

test('[MQTT-3.3.2-5] a queued message whose interval has passed is not delivered, the others are', async () => {
  const { clientId, topic } = await sleeping()
  const publisher = await gateway.connect()
  const expiring = { qos: 1, properties: { messageExpiryInterval: 10 } } as const
  await publisher.publishAcknowledged(topic, 'gone 1', expiring)
  await publisher.publishAcknowledged(topic, 'stays', { qos: 1 })
  await publisher.publishAcknowledged(topic, 'gone 2', expiring)
  gateway.clock.skip(11)
  const client = await gateway.connect({ clientId, clean: false })
  expect(await client.nextPayloads(1)).toEqual(['stays'])
  expect(await client.settled()).toEqual([])
})

test('[MQTT-3.3.2-5] it expires behind a full window too', async () => {
  const topic = unique('t')
  const client = await gateway.connect({ properties: { receiveMaximum: 1 } })
  await client.subscribe(topic, 1)
  const publisher = await gateway.connect()
  await publisher.publishAcknowledged(topic, 'first', { qos: 1 })
  await publisher.publishAcknowledged(topic, 'gone', { qos: 1, properties: { messageExpiryInterval: 5 } })
  await publisher.publishAcknowledged(topic, 'last', { qos: 1 })
  const first = await client.nextPublish()
  gateway.clock.skip(6)
  await client.acknowledge(first)
  expect(await client.nextPayloads(1)).toEqual(['last'])
})

test('[MQTT-3.3.2-6] a message without an interval gets none', async () => {
  const topic = unique('t')
  const client = await gateway.connect()
  await client.subscribe(topic)
  client.publish(topic, 'x')
  expect((await client.nextPublish()).properties?.messageExpiryInterval).toBeUndefined()
})
