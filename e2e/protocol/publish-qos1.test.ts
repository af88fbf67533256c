import { expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'

const gateway = useGateway({
  access: {
    rules: [
      { deny: 'publish', topics: ['denied/#'] },
      { allow: 'both', topics: ['#'] },
    ],
  },
})

test('[MQTT-4.3.2-4] [MQTT-2.2.1-5] [MQTT-3.3.4-1] PUBACK carries the identifier of the PUBLISH', async () => {
  const client = await gateway.connect()
  client.publish(unique('t'), 'x', { qos: 1, messageId: 4711 })
  expect((await client.next('puback')).messageId).toBe(4711)
})

test('[MQTT-3.4.2-1] PUBACK tells that nobody has subscribed (0x10), or that it is denied (0x87)', async () => {
  const topic = unique('t')
  const client = await gateway.connect()
  expect((await client.publishAcknowledged(topic, 'x', { qos: 1 })).reasonCode).toBe(0x10)
  expect((await client.publishAcknowledged('denied/x', 'x', { qos: 1 })).reasonCode).toBe(0x87)
  await client.subscribe(topic)
  expect((await client.publishAcknowledged(topic, 'x', { qos: 1 })).reasonCode).toBe(0)
})

test('[MQTT-4.5.0-1] an acknowledged message is with every session that has subscribed to it', async () => {
  const topic = unique('t')
  const names = [unique('a'), unique('b'), unique('c')]
  for (const clientId of names) {
    const subscriber = await gateway.connect({ clientId, properties: { sessionExpiryInterval: 60 } })
    await subscriber.subscribe(topic, 1)
    await subscriber.abort()
  }
  const publisher = await gateway.connect()
  expect((await publisher.publishAcknowledged(topic, 'for all', { qos: 1 })).reasonCode).toBe(0)
  for (const clientId of names) {
    const subscriber = await gateway.connect({ clientId, clean: false })
    expect((await subscriber.nextPublish()).payload.toString()).toBe('for all')
  }
})

test('[MQTT-4.3.2-5] the same identifier after PUBACK is a new message, whatever DUP says', async () => {
  const topic = unique('t')
  const subscriber = await gateway.connect()
  await subscriber.subscribe(topic)
  const publisher = await gateway.connect()
  for (const dup of [false, true]) {
    publisher.publish(topic, `dup ${dup}`, { qos: 1, messageId: 1, dup })
    await publisher.next('puback')
  }
  expect(await subscriber.nextPayloads(2)).toEqual(['dup false', 'dup true'])
})

test('[MQTT-3.3.1-3] [MQTT-4.3.2-2] DUP of the publisher is not passed on', async () => {
  const topic = unique('t')
  const subscriber = await gateway.connect()
  await subscriber.subscribe(topic, 1)
  const publisher = await gateway.connect()
  publisher.publish(topic, 'x', { qos: 1, dup: true })
  expect((await subscriber.nextPublish()).dup).toBe(false)
})

test('[MQTT-4.3.2-1] [MQTT-2.2.1-4] each delivery has an identifier that no other one has', async () => {
  const topic = unique('t')
  const subscriber = await gateway.connect()
  await subscriber.subscribe(topic, 1)
  const publisher = await gateway.connect()
  for (let i = 0; i < 20; i++) publisher.publish(topic, `${i}`, { qos: 1 })
  const identifiers = new Set<number>()
  for (let i = 0; i < 20; i++) identifiers.add((await subscriber.nextPublish()).messageId ?? 0)
  expect(identifiers.size).toBe(20)
  expect(identifiers).not.toContain(0)
})

test('[MQTT-4.3.2-3] [MQTT-4.4.0-1] [MQTT-3.3.1-1] what is not acknowledged comes again on resume, with DUP and its identifier', async () => {
  const topic = unique('t')
  const clientId = unique('c')
  const properties = { sessionExpiryInterval: 60 }
  const first = await gateway.connect({ clientId, properties })
  await first.subscribe(topic, 1)
  const publisher = await gateway.connect()
  for (const payload of ['1', '2', '3']) await publisher.publishAcknowledged(topic, payload, { qos: 1 })
  const sent = [await first.nextPublish(), await first.nextPublish(), await first.nextPublish()]
  await first.acknowledge(sent[1]!)
  await first.settled()
  await first.abort()

  const second = await gateway.connect({ clientId, clean: false, properties })
  const again = [await second.nextPublish(), await second.nextPublish()]
  expect(again.map(({ payload }) => payload.toString())).toEqual(['1', '3'])
  expect(again.map(({ messageId }) => messageId)).toEqual([sent[0]!.messageId, sent[2]!.messageId])
  expect(again.map(({ dup }) => dup)).toEqual([true, true])
  expect(await second.settled()).toEqual([])
})

test('[MQTT-4.4.0-1] nothing is sent again while the connection lasts', async () => {
  const topic = unique('t')
  const subscriber = await gateway.connect()
  await subscriber.subscribe(topic, 1)
  subscriber.publish(topic, 'x', { qos: 1 })
  await subscriber.nextPublish()
  await subscriber.next('puback')
  gateway.clock.skip(3600)
  expect(await subscriber.settled()).toEqual([])
})

test('[MQTT-4.4.0-2] PUBACK with a failure settles the message too', async () => {
  const topic = unique('t')
  const clientId = unique('c')
  const first = await gateway.connect({ clientId, properties: { sessionExpiryInterval: 60 } })
  await first.subscribe(topic, 1)
  first.publish(topic, 'x', { qos: 1 })
  const { messageId } = await first.nextPublish()
  first.send({ cmd: 'puback', messageId: messageId!, reasonCode: 0x80 })
  await first.settled()
  await first.abort()
  const second = await gateway.connect({ clientId, clean: false })
  expect(await second.settled()).toEqual([])
})

test('[MQTT-4.6.0-2] PUBACKs come in the order of the PUBLISHes, the denied ones in between too', async () => {
  const client = await gateway.connect()
  const topic = unique('t')
  const identifiers = [5, 3, 9, 1, 7]
  for (const [i, messageId] of identifiers.entries())
    client.publish(i % 2 === 0 ? topic : 'denied/x', 'x', { qos: 1, messageId })
  const acknowledged: number[] = []
  for (let i = 0; i < identifiers.length; i++) acknowledged.push((await client.next('puback')).messageId ?? 0)
  expect(acknowledged).toEqual(identifiers)
})

test('a PUBACK for nothing harms nobody', async () => {
  const client = await gateway.connect()
  client.send({ cmd: 'puback', messageId: 99 })
  expect(await client.settled()).toEqual([])
})
