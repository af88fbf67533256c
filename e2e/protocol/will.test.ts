import { expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'
import type { ConnectOptions } from '../harness/raw-client.js'

const gateway = useGateway()

type Will = NonNullable<ConnectOptions['will']>

async function withWill(will: Partial<Will> = {}, options: ConnectOptions = {}) {
  const topic = unique('will')
  const clientId = unique('c')
  const watcher = await gateway.connect()
  await watcher.subscribe([{ topic, rap: true, qos: 2 }])
  const client = await gateway.connect({ clientId, will: { topic, payload: 'gone', ...will }, ...options })
  return { watcher, client, clientId, topic }
}

test('[MQTT-3.1.2-7] [MQTT-3.1.2-8] a connection that breaks publishes its will', async () => {
  const { watcher, client, topic } = await withWill({ qos: 1 })
  await client.abort()
  expect(await watcher.nextPublish()).toMatchObject({ topic, payload: Buffer.from('gone'), qos: 1 })
})

test('[MQTT-3.1.2-8] so does one that is ended for a protocol error', async () => {
  const { watcher, client } = await withWill()
  client.write([0xf0 | 0x0f, 0])
  await client.closedByPeer()
  expect((await watcher.nextPublish()).payload.toString()).toBe('gone')
})

test('[MQTT-3.1.2-8] so does DISCONNECT with 0x04', async () => {
  const { watcher, client } = await withWill()
  await client.disconnect(0x04)
  expect((await watcher.nextPublish()).payload.toString()).toBe('gone')
})

test('[MQTT-3.14.4-3] [MQTT-3.1.2-10] DISCONNECT with 0x00 discards it', async () => {
  const { watcher, client } = await withWill()
  await client.disconnect()
  await gateway.connect()
  expect(await watcher.settled()).toEqual([])
})

test('[MQTT-3.1.2-10] it is published once', async () => {
  const { watcher, client, clientId } = await withWill({}, { properties: { sessionExpiryInterval: 60 } })
  await client.abort()
  await watcher.nextPublish()
  const back = await gateway.connect({ clientId, clean: false })
  await back.abort()
  await gateway.connect()
  expect(await watcher.settled()).toEqual([])
})

test('[MQTT-3.1.2-14] Will Retain 0 publishes it as an ordinary message', async () => {
  const { watcher, client, topic } = await withWill({ retain: false })
  await client.abort()
  expect((await watcher.nextPublish()).retain).toBe(false)
  const late = await gateway.connect()
  await late.subscribe(topic)
  expect(await late.settled()).toEqual([])
})

test('[MQTT-3.1.2-15] Will Retain 1 publishes it as a retained message', async () => {
  const { watcher, client, topic } = await withWill({ retain: true })
  await client.abort()
  expect((await watcher.nextPublish()).retain).toBe(true)
  const late = await gateway.connect()
  await late.subscribe(topic)
  expect((await late.nextPublish()).payload.toString()).toBe('gone')
})

test('[MQTT-3.1.3-10] its properties come with it', async () => {
  const properties = {
    payloadFormatIndicator: true,
    contentType: 'text/plain',
    responseTopic: 'answers',
    correlationData: Buffer.from([0, 1, 2]),
    messageExpiryInterval: 100,
  }
  const { watcher, client } = await withWill({
    properties: { ...properties, userProperties: { a: ['1', '2'] } },
  })
  gateway.clock.skip(50)
  await client.abort()
  // The expiry counts from the publication.
  expect((await watcher.nextPublish()).properties).toMatchObject(properties)
})

test('[MQTT-3.1.2-8] Will Delay Interval puts it off', async () => {
  const { watcher, client } = await withWill(
    { properties: { willDelayInterval: 30 } },
    { properties: { sessionExpiryInterval: 300 } },
  )
  await client.abort()
  await gateway.connect()
  gateway.clock.skip(29)
  expect(await watcher.settled()).toEqual([])
  gateway.clock.skip(2)
  expect((await watcher.nextPublish()).payload.toString()).toBe('gone')
})

test('[MQTT-3.1.2-8] the end of the session ends the delay', async () => {
  const { watcher, client } = await withWill(
    { properties: { willDelayInterval: 300 } },
    { properties: { sessionExpiryInterval: 30 } },
  )
  await client.abort()
  await gateway.connect()
  gateway.clock.skip(31)
  expect((await watcher.nextPublish()).payload.toString()).toBe('gone')
})

test('[MQTT-3.1.2-8] without a session there is no delay', async () => {
  const { watcher, client } = await withWill({ properties: { willDelayInterval: 300 } })
  await client.abort()
  expect((await watcher.nextPublish()).payload.toString()).toBe('gone')
})

test('[MQTT-3.1.3-9] a client that is back within the delay takes its will back', async () => {
  const { watcher, client, clientId } = await withWill(
    { properties: { willDelayInterval: 30 } },
    { properties: { sessionExpiryInterval: 300 } },
  )
  await client.abort()
  await gateway.connect({ clientId, clean: false, properties: { sessionExpiryInterval: 300 } })
  gateway.clock.skip(100)
  expect(await watcher.settled()).toEqual([])
})

test('[MQTT-3.1.2-8] Clean Start within the delay ends the session, and publishes it', async () => {
  const { watcher, client, clientId } = await withWill(
    { properties: { willDelayInterval: 30 } },
    { properties: { sessionExpiryInterval: 300 } },
  )
  await client.abort()
  await gateway.connect({ clientId, clean: true })
  expect((await watcher.nextPublish()).payload.toString()).toBe('gone')
})

test('[MQTT-3.1.3-9] a takeover within the delay publishes nothing, without a delay it does', async () => {
  const delayed = await withWill(
    { properties: { willDelayInterval: 30 } },
    { properties: { sessionExpiryInterval: 300 } },
  )
  await gateway.connect({ clientId: delayed.clientId, clean: false })
  const prompt = await withWill({}, { properties: { sessionExpiryInterval: 300 } })
  await gateway.connect({ clientId: prompt.clientId, clean: false })
  expect((await prompt.watcher.nextPublish()).payload.toString()).toBe('gone')
  expect(await delayed.watcher.settled()).toEqual([])
})

test('[MQTT-3.3.2-2] a will topic with a wildcard is refused', async () => {
  const client = await gateway.connect({ will: { topic: 'a/+', payload: '' } })
  expect(client.connack.reasonCode).toBe(0x90)
  await client.closedByPeer()
})
