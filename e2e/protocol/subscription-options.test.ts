import { expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'
import { field, packetOf, uint16 } from '../harness/packet-bytes.js'

const gateway = useGateway()

test('[MQTT-3.8.3-3] No Local keeps the own messages of a client away, and nobody else’s', async () => {
  const topic = unique('t')
  const client = await gateway.connect()
  await client.subscribe([{ topic, nl: true, qos: 1 }])
  client.publish(topic, 'own', { qos: 1 })
  const other = await gateway.connect()
  await other.publishAcknowledged(topic, 'other', { qos: 1 })
  await client.next('puback')
  expect(await client.settled()).toMatchObject([{ payload: Buffer.from('other') }])
})

test('[MQTT-3.8.3-3] No Local holds for the client identifier: also for what waits and what is retained', async () => {
  const topic = unique('t')
  const clientId = unique('c')
  const properties = { sessionExpiryInterval: 60 }
  const first = await gateway.connect({ clientId, properties })
  await first.subscribe([{ topic, nl: true, qos: 1 }])
  await first.publishAcknowledged(topic, 'own', { qos: 1, retain: true })
  await first.abort()
  const second = await gateway.connect({ clientId, clean: false, properties })
  await second.subscribe([{ topic, nl: true, qos: 1 }])
  expect(await second.settled()).toEqual([])
})

test('[MQTT-3.8.3-3] a second subscription without No Local brings the own message', async () => {
  const topic = unique('t')
  const client = await gateway.connect()
  await client.subscribe([
    { topic: `${topic}/#`, nl: true, qos: 1 },
    { topic: `${topic}/a`, qos: 0 },
  ])
  client.publish(`${topic}/a`, 'own')
  expect(await client.settled()).toMatchObject([{ topic: `${topic}/a`, qos: 0 }])
})

test('[MQTT-3.8.3-4] No Local on a shared subscription is a protocol error', async () => {
  const client = await gateway.connect()
  client.write(packetOf(0x82, uint16(1), [0], field('$share/g/a'), [0x04]))
  expect(await client.disconnectedByPeer()).toBe(0x82)
})

test('[MQTT-3.3.1-12] without Retain As Published RETAIN is 0 on live messages', async () => {
  const topic = unique('t')
  const client = await gateway.connect()
  await client.subscribe([{ topic, rap: false }])
  client.publish(topic, 'x', { retain: true })
  expect((await client.nextPublish()).retain).toBe(false)
})

test('[MQTT-3.3.1-13] with Retain As Published RETAIN is as it was published', async () => {
  const topic = unique('t')
  const client = await gateway.connect()
  await client.subscribe([{ topic, rap: true }])
  client.publish(topic, 'x', { retain: true })
  expect((await client.nextPublish()).retain).toBe(true)
  client.publish(topic, 'y', { retain: false })
  expect((await client.nextPublish()).retain).toBe(false)
})

test('[MQTT-3.3.1-13] Retain As Published holds for queued messages too', async () => {
  const topic = unique('t')
  const clientId = unique('c')
  const first = await gateway.connect({ clientId, properties: { sessionExpiryInterval: 60 } })
  await first.subscribe([{ topic, rap: true, qos: 1 }])
  await first.abort()
  const publisher = await gateway.connect()
  await publisher.publishAcknowledged(topic, 'x', { qos: 1, retain: true })
  const second = await gateway.connect({ clientId, clean: false })
  expect((await second.nextPublish()).retain).toBe(true)
})

test('[MQTT-3.3.1-9] Retain Handling 0 sends retained messages at each SUBSCRIBE', async () => {
  const topic = unique('t')
  const client = await gateway.connect()
  client.publish(topic, 'x', { retain: true })
  for (let i = 0; i < 2; i++) {
    await client.subscribe([{ topic, rh: 0 }])
    expect(await client.settled()).toHaveLength(1)
  }
})

test('[MQTT-3.3.1-10] Retain Handling 1 sends them only with a new subscription', async () => {
  const topic = unique('t')
  const client = await gateway.connect()
  client.publish(topic, 'x', { retain: true })
  const counts: number[] = []
  for (let i = 0; i < 2; i++) {
    await client.subscribe([{ topic, rh: 1 }])
    counts.push((await client.settled()).length)
  }
  await client.unsubscribe(topic)
  await client.subscribe([{ topic, rh: 1 }])
  counts.push((await client.settled()).length)
  expect(counts).toEqual([1, 0, 1])
})

test('[MQTT-3.3.1-11] Retain Handling 2 never sends them', async () => {
  const topic = unique('t')
  const client = await gateway.connect()
  client.publish(topic, 'x', { retain: true })
  await client.subscribe([{ topic, rh: 2 }])
  expect(await client.settled()).toEqual([])
})
