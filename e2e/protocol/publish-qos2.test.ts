import { expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'
import type { RawClient } from '../harness/raw-client.js'

const gateway = useGateway({
  access: {
    rules: [
      { deny: 'publish', topics: ['denied/#'] },
      { allow: 'both', topics: ['#'] },
    ],
  },
})

const lasting = { sessionExpiryInterval: 600 }

async function subscribed(
  qos: 0 | 2 = 2,
): Promise<{ subscriber: RawClient; clientId: string; topic: string }> {
  const clientId = unique('c')
  const topic = unique('t')
  const subscriber = await gateway.connect({ clientId, properties: lasting })
  await subscriber.subscribe(topic, qos)
  return { subscriber, clientId, topic }
}

test('[MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT-2.2.1-5] PUBREC and PUBCOMP carry the identifier of the PUBLISH', async () => {
  const { subscriber, topic } = await subscribed(0)
  subscriber.publish(topic, 'x', { qos: 2, messageId: 300 })
  expect(await subscriber.next('pubrec')).toMatchObject({ messageId: 300, reasonCode: 0 })
  subscriber.send({ cmd: 'pubrel', messageId: 300 })
  expect(await subscriber.next('pubcomp')).toMatchObject({ messageId: 300, reasonCode: 0 })
})

test('[MQTT-4.3.3-10] until PUBREL the same identifier is the same message: answered again, delivered once', async () => {
  const { subscriber, topic } = await subscribed(0)
  const publisher = await gateway.connect()
  for (const dup of [false, true, true]) {
    publisher.publish(topic, 'x', { qos: 2, messageId: 7, dup })
    expect((await publisher.next('pubrec')).messageId).toBe(7)
  }
  publisher.send({ cmd: 'pubrel', messageId: 7 })
  await publisher.next('pubcomp')
  expect(await subscriber.settled()).toHaveLength(1)
})

test('[MQTT-4.3.3-10] the same holds over a new connection of the session', async () => {
  const { subscriber, topic } = await subscribed(0)
  const clientId = unique('p')
  const first = await gateway.connect({ clientId, properties: lasting })
  first.publish(topic, 'x', { qos: 2, messageId: 7 })
  await first.next('pubrec')
  await first.abort()
  const second = await gateway.connect({ clientId, clean: false, properties: lasting })
  second.publish(topic, 'x', { qos: 2, messageId: 7, dup: true })
  await second.next('pubrec')
  second.send({ cmd: 'pubrel', messageId: 7 })
  await second.next('pubcomp')
  expect(await subscriber.settled()).toHaveLength(1)
})

test('[MQTT-4.3.3-12] after PUBCOMP the identifier means a new message', async () => {
  const { subscriber, topic } = await subscribed(0)
  const publisher = await gateway.connect()
  for (let i = 0; i < 2; i++) await publisher.publishAcknowledged(topic, `${i}`, { qos: 2, messageId: 7 })
  expect(await subscriber.nextPayloads(2)).toEqual(['0', '1'])
})

test('[MQTT-4.3.3-9] [MQTT-3.5.2-1] after a PUBREC that says no the identifier means a new message', async () => {
  const { subscriber, topic } = await subscribed(0)
  const publisher = await gateway.connect()
  publisher.publish('denied/x', 'x', { qos: 2, messageId: 7 })
  expect((await publisher.next('pubrec')).reasonCode).toBe(0x87)
  await publisher.publishAcknowledged(topic, 'new', { qos: 2, messageId: 7 })
  expect(await subscriber.nextPayloads(1)).toEqual(['new'])
})

test('[MQTT-3.7.2-1] PUBREL for an unknown identifier is answered PUBCOMP 0x92', async () => {
  const client = await gateway.connect()
  client.send({ cmd: 'pubrel', messageId: 12 })
  expect(await client.next('pubcomp')).toMatchObject({ messageId: 12, reasonCode: 0x92 })
})

test('[MQTT-3.6.2-1] PUBREC for an unknown identifier is answered PUBREL 0x92', async () => {
  const client = await gateway.connect()
  client.send({ cmd: 'pubrec', messageId: 12 })
  expect(await client.next('pubrel')).toMatchObject({ messageId: 12, reasonCode: 0x92 })
})

test('[MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-4.3.3-4] a delivery goes PUBLISH, PUBREC, PUBREL, PUBCOMP under one identifier', async () => {
  const { subscriber, topic } = await subscribed()
  const publisher = await gateway.connect()
  await publisher.publishAcknowledged(topic, 'x', { qos: 2 })
  const { messageId, dup, qos } = await subscriber.nextPublish()
  expect({ dup, qos }).toEqual({ dup: false, qos: 2 })
  subscriber.send({ cmd: 'pubrec', messageId: messageId! })
  expect(await subscriber.next('pubrel')).toMatchObject({ messageId, reasonCode: 0 })
  subscriber.send({ cmd: 'pubcomp', messageId: messageId! })
  expect(await subscriber.settled()).toEqual([])
})

test('[MQTT-4.3.3-3] [MQTT-4.4.0-1] without PUBREC the PUBLISH comes again on resume', async () => {
  const { subscriber, clientId, topic } = await subscribed()
  subscriber.publish(topic, 'x', { qos: 2 })
  const { messageId } = await subscriber.nextPublish()
  await subscriber.abort()
  const again = await gateway.connect({ clientId, clean: false, properties: lasting })
  expect(await again.nextPublish()).toMatchObject({ messageId, dup: true, qos: 2 })
})

test('[MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.4.0-1] without PUBCOMP the PUBREL comes again on resume, and never the PUBLISH', async () => {
  const { subscriber, clientId, topic } = await subscribed()
  subscriber.publish(topic, 'x', { qos: 2 })
  const { messageId } = await subscriber.nextPublish()
  subscriber.send({ cmd: 'pubrec', messageId: messageId! })
  await subscriber.next('pubrel')
  await subscriber.abort()
  const again = await gateway.connect({ clientId, clean: false, properties: lasting })
  expect(await again.next('pubrel')).toMatchObject({ messageId })
  again.send({ cmd: 'pubcomp', messageId: messageId! })
  expect(await again.settled()).toEqual([])
  await again.abort()
  const third = await gateway.connect({ clientId, clean: false })
  expect(await third.settled()).toEqual([])
})

test('[MQTT-4.4.0-2] PUBREC with a failure settles the message', async () => {
  const { subscriber, clientId, topic } = await subscribed()
  const publisher = await gateway.connect()
  await publisher.publishAcknowledged(topic, 'x', { qos: 2 })
  const { messageId } = await subscriber.nextPublish()
  subscriber.send({ cmd: 'pubrec', messageId: messageId!, reasonCode: 0x83 })
  expect(await subscriber.settled()).toEqual([])
  await subscriber.abort()
  const again = await gateway.connect({ clientId, clean: false })
  expect(await again.settled()).toEqual([])
})

test('[MQTT-4.3.3-7] a message that has been sent is sent again after its expiry', async () => {
  const { subscriber, clientId, topic } = await subscribed()
  const publisher = await gateway.connect()
  await publisher.publishAcknowledged(topic, 'x', { qos: 2, properties: { messageExpiryInterval: 10 } })
  const { messageId } = await subscriber.nextPublish()
  await subscriber.abort()
  gateway.clock.skip(20)
  const again = await gateway.connect({ clientId, clean: false, properties: lasting })
  expect(await again.nextPublish()).toMatchObject({ messageId, dup: true })
})

test('[MQTT-4.3.3-13] the exchange of a message that has expired goes on', async () => {
  const { subscriber, topic } = await subscribed(0)
  subscriber.publish(topic, 'x', { qos: 2, messageId: 9, properties: { messageExpiryInterval: 1 } })
  await subscriber.next('pubrec')
  gateway.clock.skip(5)
  subscriber.publish(topic, 'x', {
    qos: 2,
    messageId: 9,
    dup: true,
    properties: { messageExpiryInterval: 1 },
  })
  expect((await subscriber.next('pubrec')).reasonCode).toBe(0)
  subscriber.send({ cmd: 'pubrel', messageId: 9 })
  expect(await subscriber.next('pubcomp')).toMatchObject({ messageId: 9, reasonCode: 0 })
})

test('[MQTT-4.6.0-3] PUBRECs come in the order of the PUBLISHes', async () => {
  const client = await gateway.connect()
  const topic = unique('t')
  const identifiers = [5, 3, 9, 1, 7]
  for (const [i, messageId] of identifiers.entries())
    client.publish(i % 2 === 0 ? topic : 'denied/x', 'x', { qos: 2, messageId })
  const received: number[] = []
  for (let i = 0; i < identifiers.length; i++) received.push((await client.next('pubrec')).messageId ?? 0)
  expect(received).toEqual(identifiers)
})

test('[MQTT-4.6.0-4] PUBRELs come in the order of the PUBRECs', async () => {
  const { subscriber, topic } = await subscribed()
  const publisher = await gateway.connect()
  for (let i = 0; i < 5; i++) await publisher.publishAcknowledged(topic, `${i}`, { qos: 2 })
  const identifiers: number[] = []
  for (let i = 0; i < 5; i++) identifiers.push((await subscriber.nextPublish()).messageId ?? 0)
  const order = [3, 0, 4, 1, 2].map((i) => identifiers[i]!)
  for (const messageId of order) subscriber.send({ cmd: 'pubrec', messageId })
  const released: number[] = []
  for (let i = 0; i < 5; i++) released.push((await subscriber.next('pubrel')).messageId ?? 0)
  expect(released).toEqual(order)
})

test('[MQTT-3.6.1-1] PUBREL with other flags is malformed', async () => {
  const client = await gateway.connect()
  client.write([0x60, 2, 0, 1])
  expect(await client.disconnectedByPeer()).toBe(0x81)
})
