import { expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'
import { cutPackets } from '../harness/packet-bytes.js'

const gateway = useGateway({
  limits: { packetSize: 1024 },
  access: {
    rules: [
      { deny: 'both', topics: ['denied/#'] },
      { allow: 'both', topics: ['#'] },
    ],
  },
})

test('[MQTT-3.2.2-15] CONNACK tells the largest packet; one that is larger ends in 0x95', async () => {
  const client = await gateway.connect()
  expect(client.connack.properties?.maximumPacketSize).toBe(1024)
  client.publish('t', 'x'.repeat(1024 - 3 - 3 - 1))
  expect(await client.settled()).toEqual([])
  client.publish('t', 'x'.repeat(1024 - 3 - 3))
  expect(await client.disconnectedByPeer()).toBe(0x95)
})

test.each([0, 1, 2] as const)(
  '[MQTT-3.1.2-24] [MQTT-3.1.2-25] a message too large for its receiver is passed over, and the next one comes (QoS %i)',
  async (qos) => {
    const topic = unique('t')
    const subscriber = await gateway.connect({ properties: { maximumPacketSize: 60, receiveMaximum: 1 } })
    await subscriber.subscribe(topic, qos)
    const other = await gateway.connect()
    await other.subscribe(topic, qos)
    const publisher = await gateway.connect()
    publisher.publish(topic, 'x'.repeat(60), { qos })
    publisher.publish(topic, 'small', { qos })
    expect((await subscriber.nextPublish()).payload.toString()).toBe('small')
    expect((await other.nextPublish()).payload).toHaveLength(60)
  },
)

test('[MQTT-3.1.2-24] properties and identifiers count too', async () => {
  const topic = unique('t')
  const subscriber = await gateway.connect({ properties: { maximumPacketSize: 60 } })
  await subscriber.subscribe(topic, 0, { subscriptionIdentifier: 100 })
  const publisher = await gateway.connect()
  publisher.publish(topic, 'x', { properties: { contentType: 'c'.repeat(60) } })
  publisher.publish(topic, 'small')
  expect((await subscriber.nextPublish()).payload.toString()).toBe('small')
})

test('[MQTT-3.4.2-2] [MQTT-3.9.2-1] [MQTT-3.11.2-1] [MQTT-3.14.2-3] acknowledgements and DISCONNECT fit the receiver', async () => {
  const topic = unique('t')
  const client = await gateway.connect({ properties: { maximumPacketSize: 25 } })
  expect(client.connack.reasonCode).toBe(0)
  await client.publishAcknowledged('denied/x', '', { qos: 1 })
  await client.publishAcknowledged('denied/x', '', { qos: 2 })
  await client.subscribe(topic)
  await client.unsubscribe(topic)
  client.publish('a/#', '')
  expect(await client.disconnectedByPeer()).toBe(0x90)
  for (const packet of cutPackets(Buffer.concat(client.bytes))) expect(packet.length).toBeLessThanOrEqual(25)
})

test('[MQTT-3.1.2-24] a client that takes no acknowledgement of its own size is disconnected', async () => {
  const client = await gateway.connect({ properties: { maximumPacketSize: 25 } })
  const subscriptions = Array.from({ length: 25 }, (_, i) => ({ topic: `${i}`, qos: 0 as const }))
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions })
  expect(await client.disconnectedByPeer()).toBe(0x95)
})
