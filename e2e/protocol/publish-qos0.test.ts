import { expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'
import { field, packetOf } from '../harness/packet-bytes.js'

const gateway = useGateway()

test('[MQTT-4.3.1-1] [MQTT-3.3.1-2] [MQTT-2.2.1-2] QoS 0 goes out once, without DUP and identifier', async () => {
  const topic = unique('plain')
  const client = await gateway.connect()
  await client.subscribe(topic, 2)
  client.bytes.length = 0
  client.publish(topic, 'once')
  await client.nextPublish()
  expect(await client.settled()).toEqual([])
  expect(Buffer.concat(client.bytes).subarray(0, -2)).toEqual(
    packetOf(0x30, field(topic), [0], Buffer.from('once')),
  )
})

test('[MQTT-3.3.4-1] QoS 0 is not answered', async () => {
  const client = await gateway.connect()
  client.publish(unique('nobody'), 'x')
  expect(await client.settled()).toEqual([])
})

test('[MQTT-3.8.4-8] a message keeps the lower of its own QoS and that of the subscription', async () => {
  const topic = unique('levels')
  const publisher = await gateway.connect()
  for (const granted of [0, 1, 2] as const) {
    const subscriber = await gateway.connect()
    await subscriber.subscribe(topic, granted)
    for (const qos of [0, 1, 2] as const) {
      publisher.publish(topic, `${qos}`, { qos })
      expect((await subscriber.nextPublish()).qos).toBe(Math.min(qos, granted))
    }
    await subscriber.disconnect()
  }
})

test('[MQTT-3.3.2-3] the Topic Name that arrives is the published one', async () => {
  const topic = unique('exact')
  const subscriber = await gateway.connect()
  await subscriber.subscribe([{ topic: `+/${topic}` }])
  subscriber.publish(`some/${topic}`, 'x')
  expect((await subscriber.nextPublish()).topic).toBe(`some/${topic}`)
})

test('a QoS 0 message for a session without a connection is not kept', async () => {
  const topic = unique('offline')
  const clientId = unique('sleeper')
  const first = await gateway.connect({ clientId, properties: { sessionExpiryInterval: 60 } })
  await first.subscribe(topic, 1)
  await first.disconnect()
  const publisher = await gateway.connect()
  publisher.publish(topic, 'missed')
  await publisher.publishAcknowledged(topic, 'kept', { qos: 1 })
  const second = await gateway.connect({ clientId, clean: false })
  expect((await second.nextPublish()).payload.toString()).toBe('kept')
  expect(await second.settled()).toEqual([])
})

test.each([0, 1, 2] as const)(
  '[MQTT-3.3.2-2] [MQTT-4.7.0-1] a wildcard in a Topic Name ends the connection with 0x90 (QoS %i)',
  async (qos) => {
    const client = await gateway.connect()
    client.publish('a/+/b', 'x', { qos })
    expect(await client.disconnectedByPeer()).toBe(0x90)
  },
)

test('[MQTT-3.3.1-4] QoS 3 is malformed', async () => {
  const client = await gateway.connect()
  client.write(packetOf(0x36, field('t'), [0, 1], [0]))
  expect(await client.disconnectedByPeer()).toBe(0x81)
})

test('[MQTT-3.3.1-2] QoS 0 with DUP is malformed', async () => {
  const client = await gateway.connect()
  client.write(packetOf(0x38, field('t'), [0]))
  expect(await client.disconnectedByPeer()).toBe(0x81)
})
