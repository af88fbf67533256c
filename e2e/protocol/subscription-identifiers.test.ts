import { expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'
import { field, packetOf, uint16 } from '../harness/packet-bytes.js'
import type { Publish } from '../harness/raw-client.js'

const gateway = useGateway()

function identifiers({ properties }: Publish): number[] {
  const found = properties?.subscriptionIdentifier ?? []
  return (Array.isArray(found) ? found : [found]).sort((a, b) => a - b)
}

test('[MQTT-3.3.4-3] a message carries the identifier of the subscription that it matches', async () => {
  const topic = unique('t')
  const client = await gateway.connect()
  await client.subscribe(topic, 0, { subscriptionIdentifier: 268_435_455 })
  client.publish(topic, 'x')
  expect(identifiers(await client.nextPublish())).toEqual([268_435_455])
})

test('[MQTT-3.3.4-4] one copy carries the identifiers of all matching subscriptions', async () => {
  const topic = unique('t')
  const client = await gateway.connect()
  await client.subscribe(`${topic}/#`, 0, { subscriptionIdentifier: 1 })
  await client.subscribe(`${topic}/+`, 1, { subscriptionIdentifier: 200 })
  await client.subscribe(`${topic}/a`, 1)
  client.publish(`${topic}/a`, 'x')
  expect(identifiers(await client.nextPublish())).toEqual([1, 200])
})

test('[MQTT-3.3.4-5] a copy for a shared subscription carries that one’s identifier', async () => {
  const topic = unique('t')
  const client = await gateway.connect()
  await client.subscribe(`$share/g/${topic}`, 0, { subscriptionIdentifier: 7 })
  await client.subscribe(topic, 0, { subscriptionIdentifier: 8 })
  client.publish(topic, 'x')
  const packets = (await client.settled()) as Publish[]
  expect(packets.map(identifiers).sort()).toEqual([[7], [8]])
})

test('[MQTT-3.3.4-3] queued and retained messages carry it too', async () => {
  const topic = unique('t')
  const clientId = unique('c')
  const properties = { sessionExpiryInterval: 60 }
  const first = await gateway.connect({ clientId, properties })
  await first.subscribe(topic, 1, { subscriptionIdentifier: 42 })
  await first.abort()
  const publisher = await gateway.connect()
  await publisher.publishAcknowledged(topic, 'x', { qos: 1, retain: true })
  const second = await gateway.connect({ clientId, clean: false, properties })
  const queued = await second.nextPublish()
  expect(identifiers(queued)).toEqual([42])
  await second.acknowledge(queued)
  await second.subscribe(topic, 1, { subscriptionIdentifier: 43 })
  expect(identifiers(await second.nextPublish())).toEqual([43])
})

test('[MQTT-3.8.4-3] replacing a subscription replaces its identifier', async () => {
  const topic = unique('t')
  const client = await gateway.connect()
  await client.subscribe(topic, 0, { subscriptionIdentifier: 1 })
  await client.subscribe(topic, 0, { subscriptionIdentifier: 2 })
  client.publish(topic, '1')
  expect(identifiers(await client.nextPublish())).toEqual([2])
  await client.subscribe(topic, 0)
  client.publish(topic, '2')
  expect(identifiers(await client.nextPublish())).toEqual([])
})

test('[MQTT-3.3.4-6] a client that publishes one commits a protocol error', async () => {
  const client = await gateway.connect()
  client.publish('t', 'x', { properties: { subscriptionIdentifier: 1 } })
  expect(await client.disconnectedByPeer()).toBe(0x82)
})

test('an identifier of 0 is a protocol error', async () => {
  const client = await gateway.connect()
  client.write(packetOf(0x82, uint16(1), [2, 0x0b, 0], field('a'), [0]))
  expect(await client.disconnectedByPeer()).toBe(0x82)
})
