import { describe, expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'

const gateway = useGateway({ limits: { receiveMaximum: 4 } })

describe('towards a client', () => {
  test('[MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2] no more than Receive Maximum are under way', async () => {
    const topic = unique('t')
    const subscriber = await gateway.connect({ properties: { receiveMaximum: 2 } })
    await subscriber.subscribe(topic, 2)
    const publisher = await gateway.connect()
    for (const [i, qos] of ([1, 2, 1, 2, 1] as const).entries())
      await publisher.publishAcknowledged(topic, `${i}`, { qos })
    const one = await subscriber.nextPublish()
    const two = await subscriber.nextPublish()
    expect(await subscriber.settled()).toEqual([])
    await subscriber.acknowledge(one)
    const three = await subscriber.nextPublish()
    expect(await subscriber.settled()).toEqual([])
    subscriber.send({ cmd: 'pubrec', messageId: two.messageId! })
    await subscriber.next('pubrel')
    // Not before PUBCOMP: PUBREC alone frees nothing.
    expect(await subscriber.settled()).toEqual([])
    subscriber.send({ cmd: 'pubcomp', messageId: two.messageId! })
    expect((await subscriber.nextPublish()).payload.toString()).toBe('3')
    await subscriber.acknowledge(three)
    expect((await subscriber.nextPublish()).payload.toString()).toBe('4')
  })

  test('[MQTT-3.3.4-9] PUBREC with a failure frees a place', async () => {
    const topic = unique('t')
    const subscriber = await gateway.connect({ properties: { receiveMaximum: 1 } })
    await subscriber.subscribe(topic, 2)
    const publisher = await gateway.connect()
    for (let i = 0; i < 2; i++) await publisher.publishAcknowledged(topic, `${i}`, { qos: 2 })
    const { messageId } = await subscriber.nextPublish()
    subscriber.send({ cmd: 'pubrec', messageId: messageId!, reasonCode: 0x80 })
    expect((await subscriber.nextPublish()).payload.toString()).toBe('1')
  })

  test('[MQTT-3.3.4-10] [MQTT-4.9.0-3] everything else goes on while none may be sent', async () => {
    const topic = unique('t')
    const subscriber = await gateway.connect({ properties: { receiveMaximum: 1 } })
    await subscriber.subscribe(topic, 1)
    const publisher = await gateway.connect()
    for (let i = 0; i < 3; i++) await publisher.publishAcknowledged(topic, `${i}`, { qos: 1 })
    await subscriber.nextPublish()
    expect(await subscriber.subscribe(unique('other'))).toEqual([0])
    expect(await subscriber.unsubscribe(unique('none'))).toEqual([0x11])
    expect((await subscriber.publishAcknowledged(unique('t'), 'x', { qos: 2 })).reasonCode).toBe(0x10)
    publisher.publish(topic, 'QoS 0')
    expect((await subscriber.nextPublish()).payload.toString()).toBe('QoS 0')
  })

  test('[MQTT-4.9.0-1] a queue longer than the window is drained whole', async () => {
    const topic = unique('t')
    const clientId = unique('c')
    const first = await gateway.connect({ clientId, properties: { sessionExpiryInterval: 60 } })
    await first.subscribe(topic, 1)
    await first.disconnect()
    const publisher = await gateway.connect()
    for (let i = 0; i < 300; i++) await publisher.publishAcknowledged(topic, `${i}`, { qos: 1 })
    const second = await gateway.connect({ clientId, clean: false, properties: { receiveMaximum: 3 } })
    for (let i = 0; i < 300; i++) {
      const publish = await second.nextPublish()
      expect(publish.payload.toString()).toBe(`${i}`)
      await second.acknowledge(publish)
    }
  })
})

describe('from a client', () => {
  test('[MQTT-3.3.4-7] CONNACK tells the Receive Maximum; more QoS 2 publishes than that end in 0x93', async () => {
    const client = await gateway.connect()
    expect(client.connack.properties?.receiveMaximum).toBe(4)
    const topic = unique('t')
    for (let i = 0; i < 4; i++) client.publish(topic, `${i}`, { qos: 2 })
    for (let i = 0; i < 4; i++) await client.next('pubrec')
    client.publish(topic, 'one too many', { qos: 2 })
    expect(await client.disconnectedByPeer()).toBe(0x93)
  })

  test('[MQTT-4.9.0-1] the count begins anew with each connection', async () => {
    const topic = unique('t')
    const clientId = unique('c')
    const properties = { sessionExpiryInterval: 60 }
    const first = await gateway.connect({ clientId, properties })
    for (let messageId = 1; messageId <= 4; messageId++) first.publish(topic, '', { qos: 2, messageId })
    for (let i = 0; i < 4; i++) await first.next('pubrec')
    await first.abort()
    const second = await gateway.connect({ clientId, clean: false, properties })
    for (let messageId = 11; messageId <= 14; messageId++) second.publish(topic, '', { qos: 2, messageId })
    for (let i = 0; i < 4; i++) await second.next('pubrec')
    for (const messageId of [1, 2, 3, 4, 11, 12, 13, 14]) {
      second.send({ cmd: 'pubrel', messageId })
      expect(await second.next('pubcomp')).toMatchObject({ messageId, reasonCode: 0 })
    }
  })

  test('MQTT 3.1.1 knows no Receive Maximum: such a client is held back, not refused', async () => {
    const client = await gateway.connect({ protocolVersion: 4 })
    const topic = unique('t')
    for (let i = 0; i < 50; i++) client.publish(topic, `${i}`, { qos: 1 })
    for (let i = 1; i <= 50; i++) expect((await client.next('puback')).messageId).toBe(i)
  })
})
