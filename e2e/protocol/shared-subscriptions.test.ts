import { expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'
import type { RawClient, Publish } from '../harness/raw-client.js'

const gateway = useGateway()
const lasting = { sessionExpiryInterval: 600 }

async function member(filter: string, qos: 0 | 1 | 2 = 1, clientId = unique('member')) {
  const client = await gateway.connect({ clientId, properties: lasting })
  await client.subscribe(filter, qos)
  return { client, clientId }
}

async function publishes(client: RawClient): Promise<string[]> {
  const packets = await client.settled()
  return packets
    .filter(({ cmd }) => cmd === 'publish')
    .map((packet) => (packet as Publish).payload.toString())
}

test('[MQTT-4.8.2-1] a message goes to one member of each group, and to ordinary subscribers besides', async () => {
  const topic = unique('t')
  const one = await member(`$share/g/${topic}`, 0)
  const two = await member(`$share/g/${topic}`, 0)
  const other = await member(`$share/h/${topic}`, 0)
  const plain = await member(topic, 0)
  const publisher = await gateway.connect()
  for (let i = 0; i < 10; i++) publisher.publish(topic, `${i}`)
  await publisher.settled()
  const all = Array.from({ length: 10 }, (_, i) => `${i}`)
  const first = await publishes(one.client)
  const second = await publishes(two.client)
  expect([...first, ...second].sort()).toEqual(all)
  expect(first.length).toBeGreaterThan(0)
  expect(second.length).toBeGreaterThan(0)
  expect(await publishes(other.client)).toEqual(all)
  expect(await publishes(plain.client)).toEqual(all)
})

test('[MQTT-4.8.2-3] each member gets its granted QoS', async () => {
  const topic = unique('t')
  const members = [
    await member(`$share/g/${topic}`, 0),
    await member(`$share/g/${topic}`, 1),
    await member(`$share/g/${topic}`, 2),
  ]
  const publisher = await gateway.connect()
  for (let i = 0; i < 6; i++) await publisher.publishAcknowledged(topic, `${i}`, { qos: 2 })
  for (const [granted, { client }] of members.entries())
    for (const packet of await client.settled()) expect((packet as Publish).qos).toBe(granted)
})

test('members that are connected are preferred', async () => {
  const topic = unique('t')
  const asleep = await member(`$share/g/${topic}`)
  const awake = await member(`$share/g/${topic}`)
  await asleep.client.abort()
  const publisher = await gateway.connect()
  for (let i = 0; i < 4; i++) await publisher.publishAcknowledged(topic, `${i}`, { qos: 1 })
  expect(await publishes(awake.client)).toHaveLength(4)
})

test('[MQTT-4.8.2-4] a QoS 2 message that was sent is completed with its member when that comes back', async () => {
  const topic = unique('t')
  const one = await member(`$share/g/${topic}`, 2)
  const publisher = await gateway.connect()
  await publisher.publishAcknowledged(topic, 'x', { qos: 2 })
  await one.client.nextPublish()
  const two = await member(`$share/g/${topic}`, 2)
  await one.client.abort()
  expect(await publishes(two.client)).toEqual([])
  const back = await gateway.connect({ clientId: one.clientId, clean: false, properties: lasting })
  await back.acknowledge(await back.nextPublish())
})

test('[MQTT-4.8.2-5] a QoS 2 message that was sent goes to nobody else when the session ends', async () => {
  const topic = unique('t')
  const one = await member(`$share/g/${topic}`, 2)
  const publisher = await gateway.connect()
  await publisher.publishAcknowledged(topic, 'x', { qos: 2 })
  await one.client.nextPublish()
  const two = await member(`$share/g/${topic}`, 2)
  await one.client.disconnect(0, { sessionExpiryInterval: 0 })
  await publisher.publishAcknowledged(topic, 'marker', { qos: 2 })
  expect((await two.client.nextPublish()).payload.toString()).toBe('marker')
  expect(await publishes(two.client)).toEqual([])
})

test.each([lasting, { sessionExpiryInterval: 0 }])(
  'QoS 1 messages of a member whose session ends go to another one (%o)',
  async (properties) => {
    const topic = unique('t')
    const leaving = await gateway.connect({ properties: { ...properties, receiveMaximum: 2 } })
    await leaving.subscribe(`$share/g/${topic}`, 1)
    const publisher = await gateway.connect()
    for (const payload of ['1', '2', '3', '4'])
      await publisher.publishAcknowledged(topic, payload, { qos: 1 })
    expect(await leaving.nextPayloads(2)).toEqual(['1', '2'])
    const { client } = await member(`$share/g/${topic}`)
    await leaving.disconnect(
      0,
      properties.sessionExpiryInterval > 0 ? { sessionExpiryInterval: 0 } : undefined,
    )
    expect(await client.nextPayloads(4)).toEqual(['1', '2', '3', '4'])
  },
)

test.each([1, 2] as const)(
  '[MQTT-4.8.2-6] a message that a member refuses goes to nobody else (QoS %i)',
  async (qos) => {
    const topic = unique('t')
    const one = await member(`$share/g/${topic}`, qos)
    const publisher = await gateway.connect()
    await publisher.publishAcknowledged(topic, 'x', { qos })
    const { messageId } = await one.client.nextPublish()
    const two = await member(`$share/g/${topic}`, qos)
    one.client.send({ cmd: qos === 1 ? 'puback' : 'pubrec', messageId: messageId!, reasonCode: 0x83 })
    await one.client.settled()
    await one.client.disconnect(0, { sessionExpiryInterval: 0 })
    expect(await publishes(two.client)).toEqual([])
  },
)

test('retained messages are not sent to shared subscriptions', async () => {
  const topic = unique('t')
  const publisher = await gateway.connect()
  await publisher.publishAcknowledged(topic, 'x', { qos: 1, retain: true })
  const { client } = await member(`$share/g/${topic}`)
  expect(await publishes(client)).toEqual([])
})

test('[MQTT-3.10.4-1] a shared subscription is unsubscribed by its whole text', async () => {
  const topic = unique('t')
  const { client } = await member(`$share/g/${topic}`)
  expect(await client.unsubscribe(topic, `$share/h/${topic}`, `$share/g/${topic}`)).toEqual([0x11, 0x11, 0])
  client.publish(topic, 'x')
  expect(await publishes(client)).toEqual([])
})
