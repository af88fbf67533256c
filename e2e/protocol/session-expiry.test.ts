import { expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'

const gateway = useGateway({ limits: { sessionExpiryMaximumSeconds: 100_000 } })

async function session(expiry?: number) {
  const clientId = unique('c')
  const topic = unique('t')
  const client = await gateway.connect({
    clientId,
    ...(expiry !== undefined && { properties: { sessionExpiryInterval: expiry } }),
  })
  await client.subscribe(topic, 1)
  return { client, clientId, topic }
}

async function present(clientId: string): Promise<boolean> {
  return (await gateway.connect({ clientId, clean: false })).connack.sessionPresent
}

test('[MQTT-3.1.2-5] [MQTT-3.2.2-3] [MQTT-3.1.2-23] [MQTT-3.1.3-2] a session is resumed by its client identifier', async () => {
  const { client, clientId, topic } = await session(60)
  await client.disconnect()
  const publisher = await gateway.connect()
  await publisher.publishAcknowledged(topic, 'queued', { qos: 1 })
  const back = await gateway.connect({ clientId, clean: false })
  expect(back.connack).toMatchObject({ reasonCode: 0, sessionPresent: true })
  expect((await back.nextPublish()).payload.toString()).toBe('queued')
  back.publish(topic, 'live')
  expect((await back.nextPublish()).payload.toString()).toBe('live')
})

test('[MQTT-3.1.2-6] [MQTT-3.2.2-3] where there is none, a new one is made', async () => {
  const client = await gateway.connect({ clean: false })
  expect(client.connack).toMatchObject({ reasonCode: 0, sessionPresent: false })
})

test('[MQTT-3.2.2-3] a session without subscriptions is present too', async () => {
  const clientId = unique('c')
  const client = await gateway.connect({ clientId, properties: { sessionExpiryInterval: 60 } })
  await client.disconnect()
  expect(await present(clientId)).toBe(true)
})

test('[MQTT-3.1.2-4] [MQTT-3.2.2-2] [MQTT-3.1.4-4] Clean Start discards what is there', async () => {
  const { client, clientId, topic } = await session(60)
  await client.disconnect()
  const publisher = await gateway.connect()
  await publisher.publishAcknowledged(topic, 'lost', { qos: 1 })
  const clean = await gateway.connect({ clientId, clean: true, properties: { sessionExpiryInterval: 60 } })
  expect(clean.connack).toMatchObject({ reasonCode: 0, sessionPresent: false })
  expect((await publisher.publishAcknowledged(topic, 'x', { qos: 1 })).reasonCode).toBe(0x10)
  expect(await clean.settled()).toEqual([])
})

test.each([undefined, 0])(
  '[MQTT-4.1.0-2] without an interval (%s) it ends with the connection',
  async (expiry) => {
    const { client, clientId } = await session(expiry)
    await client.abort()
    await gateway.connect()
    expect(await present(clientId)).toBe(false)
  },
)

test('[MQTT-4.1.0-2] [MQTT-3.1.2-23] it lasts as long as its interval, and no longer', async () => {
  const short = await session(60)
  const long = await session(120)
  await short.client.abort()
  await long.client.abort()
  const publisher = await gateway.connect()
  gateway.clock.skip(59)
  expect((await publisher.publishAcknowledged(short.topic, 'x', { qos: 1 })).reasonCode).toBe(0)
  gateway.clock.skip(2)
  expect((await publisher.publishAcknowledged(short.topic, 'x', { qos: 1 })).reasonCode).toBe(0x10)
  expect(await present(short.clientId)).toBe(false)
  expect(await present(long.clientId)).toBe(true)
})

test('[MQTT-4.1.0-1] it does not expire while the connection is open', async () => {
  const { client, topic } = await session(1)
  gateway.clock.skip(3600)
  client.publish(topic, 'x')
  expect((await client.nextPublish()).payload.toString()).toBe('x')
})

test('[MQTT-4.1.0-2] DISCONNECT may change the interval', async () => {
  const shortened = await session(3600)
  await shortened.client.disconnect(0, { sessionExpiryInterval: 1 })
  const ended = await session(3600)
  await ended.client.disconnect(0, { sessionExpiryInterval: 0 })
  gateway.clock.skip(2)
  expect(await present(shortened.clientId)).toBe(false)
  expect(await present(ended.clientId)).toBe(false)
})

test('[MQTT-3.14.2-2] DISCONNECT may not raise it from zero', async () => {
  const { client } = await session(0)
  client.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 10 } })
  expect(await client.disconnectedByPeer()).toBe(0x82)
})

test('the interval of the latest CONNECT counts', async () => {
  const { client, clientId } = await session(60)
  await client.disconnect()
  const back = await gateway.connect({ clientId, clean: false, properties: { sessionExpiryInterval: 600 } })
  await back.disconnect()
  gateway.clock.skip(300)
  const again = await gateway.connect({ clientId, clean: false })
  expect(again.connack.sessionPresent).toBe(true)
  await again.disconnect()
  expect(await present(clientId)).toBe(false)
})

test('an interval above the configured maximum is lowered, and CONNACK says so', async () => {
  const client = await gateway.connect({ properties: { sessionExpiryInterval: 0xffff_ffff } })
  expect(client.connack.properties?.sessionExpiryInterval).toBe(100_000)
})
