import { expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'
import type { RawClient, Publish } from '../harness/raw-client.js'

const gateway = useGateway()

async function retainedFor(client: RawClient): Promise<string[]> {
  const packets = (await client.settled()) as Publish[]
  return packets.map(({ payload }) => payload.toString()).sort()
}

test.each([0, 1, 2] as const)(
  '[MQTT-3.3.1-5] [MQTT-3.3.1-9] the last retained message of a topic is stored and sent to new subscriptions (QoS %i)',
  async (qos) => {
    const topic = unique('state')
    const publisher = await gateway.connect()
    publisher.publish(topic, 'old', { retain: true, qos })
    publisher.publish(topic, 'new', { retain: true, qos })
    await publisher.settled()
    const subscriber = await gateway.connect()
    await subscriber.subscribe(topic, 2)
    const { payload, retain, qos: received } = await subscriber.nextPublish()
    expect({ payload: payload.toString(), retain, received }).toEqual({
      payload: 'new',
      retain: true,
      received: qos,
    })
  },
)

test.each([0, 1] as const)(
  '[MQTT-3.3.1-6] [MQTT-3.3.1-7] an empty payload removes the retained message and is delivered itself (QoS %i)',
  async (qos) => {
    const topic = unique('state')
    const publisher = await gateway.connect()
    publisher.publish(topic, 'there', { retain: true, qos })
    const listener = await gateway.connect()
    await publisher.settled()
    await listener.subscribe(topic, 1)
    await listener.nextPublish()
    publisher.publish(topic, '', { retain: true, qos })
    expect((await listener.nextPublish()).payload).toHaveLength(0)
    const late = await gateway.connect()
    await late.subscribe(topic)
    expect(await late.settled()).toEqual([])
  },
)

test('[MQTT-3.3.1-8] a message without RETAIN neither replaces nor removes the retained one', async () => {
  const topic = unique('state')
  const publisher = await gateway.connect()
  publisher.publish(topic, 'kept', { retain: true })
  publisher.publish(topic, 'passing')
  publisher.publish(topic, '')
  await publisher.settled()
  const subscriber = await gateway.connect()
  await subscriber.subscribe(topic)
  expect(await retainedFor(subscriber)).toEqual(['kept'])
})

test('[MQTT-3.3.1-9] wildcards find retained messages, with empty levels too', async () => {
  const root = unique('r')
  const publisher = await gateway.connect()
  const topics = [root, `${root}/a`, `${root}/a/b`, `${root}//b`, `${root}/`, `/${root}`]
  for (const topic of topics) publisher.publish(topic, topic, { retain: true })
  await publisher.settled()
  const expected: Record<string, string[]> = {
    [`${root}/#`]: [root, `${root}/`, `${root}//b`, `${root}/a`, `${root}/a/b`],
    [`${root}/+`]: [`${root}/`, `${root}/a`],
    [`${root}/+/b`]: [`${root}//b`, `${root}/a/b`],
    [`${root}//+`]: [`${root}//b`],
    [`+/${root}`]: [`/${root}`],
  }
  for (const [filter, found] of Object.entries(expected)) {
    const subscriber = await gateway.connect()
    await subscriber.subscribe(filter)
    expect(await retainedFor(subscriber), filter).toEqual(found.sort())
    await subscriber.disconnect()
  }
})

test('[MQTT-3.8.4-4] subscribing again sends what is retained again', async () => {
  const topic = unique('state')
  const client = await gateway.connect()
  client.publish(topic, 'x', { retain: true })
  await client.subscribe(topic)
  await client.nextPublish()
  await client.subscribe(topic)
  expect((await client.nextPublish()).retain).toBe(true)
})

test('[MQTT-3.3.2-6] [MQTT-3.3.2-5] a retained message expires, and says how long it has left', async () => {
  const topic = unique('state')
  const publisher = await gateway.connect()
  publisher.publish(topic, 'x', { retain: true, properties: { messageExpiryInterval: 100 } })
  await publisher.settled()
  gateway.clock.skip(40)
  const first = await gateway.connect()
  await first.subscribe(topic)
  expect((await first.nextPublish()).properties?.messageExpiryInterval).toBe(60)
  gateway.clock.skip(60)
  const second = await gateway.connect()
  await second.subscribe(topic)
  expect(await second.settled()).toEqual([])
})

test('retained messages above the bounds of the receiver come as it takes them', async () => {
  const root = unique('many')
  const publisher = await gateway.connect()
  for (let i = 0; i < 600; i++) publisher.publish(`${root}/${i}`, `${i}`, { retain: true })
  await publisher.settled()
  const subscriber = await gateway.connect({ properties: { receiveMaximum: 10 } })
  await subscriber.subscribe(`${root}/#`, 0)
  expect(await retainedFor(subscriber)).toHaveLength(600)
})
