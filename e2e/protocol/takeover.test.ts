import { expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'

const gateway = useGateway()
const properties = { sessionExpiryInterval: 60 }

test('[MQTT-3.1.4-3] a second connection with the identifier takes over; the first is told 0x8E and closed', async () => {
  const clientId = unique('c')
  const first = await gateway.connect({ clientId })
  const second = await gateway.connect({ clientId })
  expect(second.connack.reasonCode).toBe(0)
  expect(await first.disconnectedByPeer()).toBe(0x8e)
  expect(await second.settled()).toEqual([])
})

test('[MQTT-3.1.2-5] [MQTT-4.4.0-1] the session moves with its subscriptions and what is under way', async () => {
  const clientId = unique('c')
  const topic = unique('t')
  const first = await gateway.connect({ clientId, properties })
  await first.subscribe(topic, 1)
  const publisher = await gateway.connect()
  for (const payload of ['1', '2']) await publisher.publishAcknowledged(topic, payload, { qos: 1 })
  const sent = await first.nextPublish()
  const second = await gateway.connect({ clientId, clean: false, properties })
  expect(second.connack.sessionPresent).toBe(true)
  const again = await second.nextPublish()
  expect(again).toMatchObject({ messageId: sent.messageId, dup: true })
  expect((await second.nextPublish()).payload.toString()).toBe('2')
})

test('[MQTT-3.1.2-4] a takeover with Clean Start ends the session', async () => {
  const clientId = unique('c')
  const topic = unique('t')
  const first = await gateway.connect({ clientId, properties })
  await first.subscribe(topic, 1)
  const second = await gateway.connect({ clientId, clean: true })
  expect(second.connack.sessionPresent).toBe(false)
  const publisher = await gateway.connect()
  expect((await publisher.publishAcknowledged(topic, 'x', { qos: 1 })).reasonCode).toBe(0x10)
})

test('[MQTT-3.1.4-3] a crowd with one identifier leaves one connection, and messages go on', async () => {
  const clientId = unique('c')
  const topic = unique('t')
  const crowd = await Promise.all(Array.from({ length: 20 }, () => gateway.open()))
  for (const client of crowd) client.sendConnect({ clientId, clean: false, properties })
  const welcomed = await Promise.all(crowd.map((client) => client.next('connack')))
  expect(welcomed.every(({ reasonCode }) => reasonCode === 0)).toBe(true)
  const last = crowd.at(-1)!
  await Promise.all(crowd.slice(0, -1).map((client) => client.closedByPeer()))
  await last.subscribe(topic, 1)
  last.publish(topic, 'alone', { qos: 1 })
  expect((await last.nextPublish()).payload.toString()).toBe('alone')
})

test('[MQTT-3.1.1/3.1.4-2] an MQTT 3.1.1 client is just closed', async () => {
  const clientId = unique('c')
  const first = await gateway.connect({ clientId, protocolVersion: 4 })
  await gateway.connect({ clientId, protocolVersion: 4 })
  expect(await first.remainder()).toEqual([])
})

test('identifiers that differ in case or by a trailing space are different clients', async () => {
  const clientId = unique('c')
  const clients = []
  for (const id of [clientId, clientId.toUpperCase(), `${clientId} `])
    clients.push(await gateway.connect({ clientId: id }))
  for (const client of clients) expect(await client.settled()).toEqual([])
})
