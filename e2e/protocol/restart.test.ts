import { describe, expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'

const gateway = useGateway({ store: { type: 'level' } })
const properties = { sessionExpiryInterval: 600 }

describe('over a restart', () => {
  test('[MQTT-3.1.2-23] [MQTT-3.1.2-5] [MQTT-4.5.0-1] sessions keep subscriptions and queues, in order', async () => {
    const clientId = unique('c')
    const topic = unique('t')
    const first = await gateway.connect({ clientId, properties })
    await first.subscribe(`${topic}/+`, 2, { subscriptionIdentifier: 9 })
    await first.disconnect()
    let publisher = await gateway.connect()
    for (let i = 0; i < 5; i++) await publisher.publishAcknowledged(`${topic}/a`, `${i}`, { qos: 2 })
    await gateway.restart()
    publisher = await gateway.connect()
    await publisher.publishAcknowledged(`${topic}/b`, '5', { qos: 1 })
    const second = await gateway.connect({ clientId, clean: false, properties })
    expect(second.connack.sessionPresent).toBe(true)
    for (let i = 0; i < 6; i++) {
      const publish = await second.nextPublish()
      expect(publish.payload.toString()).toBe(`${i}`)
      expect(publish.properties?.subscriptionIdentifier).toBe(9)
      await second.acknowledge(publish)
    }
    expect(await second.settled()).toEqual([])
  })

  test('[MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-4.3.3-6] what was under way goes on with its identifiers', async () => {
    const clientId = unique('c')
    const topic = unique('t')
    const first = await gateway.connect({ clientId, properties })
    await first.subscribe(topic, 2)
    const publisher = await gateway.connect()
    for (const qos of [1, 2, 2] as const) await publisher.publishAcknowledged(topic, `${qos}`, { qos })
    const sent = [await first.nextPublish(), await first.nextPublish(), await first.nextPublish()]
    first.send({ cmd: 'pubrec', messageId: sent[1]!.messageId! })
    await first.next('pubrel')
    await gateway.restart()
    const second = await gateway.connect({ clientId, clean: false, properties })
    expect(await second.nextPublish()).toMatchObject({ messageId: sent[0]!.messageId, dup: true, qos: 1 })
    expect(await second.next('pubrel')).toMatchObject({ messageId: sent[1]!.messageId })
    expect(await second.nextPublish()).toMatchObject({ messageId: sent[2]!.messageId, dup: true, qos: 2 })
  })

  test('[MQTT-4.3.3-10] a QoS 2 publish that was taken is not taken again', async () => {
    const topic = unique('t')
    const clientId = unique('p')
    const subscriberId = unique('s')
    const subscriber = await gateway.connect({ clientId: subscriberId, properties })
    await subscriber.subscribe(topic, 1)
    await subscriber.disconnect()
    const first = await gateway.connect({ clientId, properties })
    first.publish(topic, 'once', { qos: 2, messageId: 77 })
    await first.next('pubrec')
    await gateway.restart()
    const second = await gateway.connect({ clientId, clean: false, properties })
    second.publish(topic, 'once', { qos: 2, messageId: 77, dup: true })
    await second.next('pubrec')
    second.send({ cmd: 'pubrel', messageId: 77 })
    expect(await second.next('pubcomp')).toMatchObject({ reasonCode: 0 })
    const back = await gateway.connect({ clientId: subscriberId, clean: false })
    expect(await back.nextPayloads(1)).toEqual(['once'])
    expect(await back.settled()).toEqual([])
  })

  test.each([0, 1] as const)('[MQTT-3.3.1-5] retained messages stay (QoS %i)', async (qos) => {
    const topic = unique('t')
    const publisher = await gateway.connect()
    publisher.publish(topic, 'kept', { qos, retain: true, properties: { contentType: 'text/plain' } })
    publisher.publish(`${topic}/gone`, 'x', { qos, retain: true })
    publisher.publish(`${topic}/gone`, '', { qos, retain: true })
    await publisher.settled()
    await gateway.restart()
    const subscriber = await gateway.connect()
    await subscriber.subscribe(`${topic}/#`)
    expect(await subscriber.settled()).toMatchObject([
      { topic, payload: Buffer.from('kept'), properties: { contentType: 'text/plain' } },
    ])
  })

  test('[MQTT-4.1.0-2] intervals go on: what expires while it is down is gone', async () => {
    const short = unique('short')
    const long = unique('long')
    const topic = unique('t')
    for (const [clientId, seconds] of [
      [short, 60],
      [long, 6000],
    ] as const) {
      const client = await gateway.connect({ clientId, properties: { sessionExpiryInterval: seconds } })
      await client.subscribe(topic, 1)
      await client.disconnect()
    }
    const publisher = await gateway.connect()
    await publisher.publishAcknowledged(topic, 'gone', { qos: 1, properties: { messageExpiryInterval: 90 } })
    await publisher.publishAcknowledged(topic, 'left', { qos: 1, properties: { messageExpiryInterval: 900 } })
    await gateway.stop()
    gateway.clock.sleep(100)
    await gateway.start()
    expect((await gateway.connect({ clientId: short, clean: false })).connack.sessionPresent).toBe(false)
    const client = await gateway.connect({ clientId: long, clean: false })
    const publish = await client.nextPublish()
    expect(publish.payload.toString()).toBe('left')
    expect(publish.properties?.messageExpiryInterval).toBeLessThanOrEqual(800)
    expect(await client.settled()).toEqual([])
  })

  test('[MQTT-3.1.2-8] a will that was delayed is published in its time', async () => {
    const topic = unique('will')
    const client = await gateway.connect({
      properties,
      will: { topic, payload: 'gone', properties: { willDelayInterval: 60 } },
    })
    await client.abort()
    await gateway.connect()
    await gateway.restart()
    const watcher = await gateway.connect()
    await watcher.subscribe(topic)
    gateway.clock.skip(30)
    expect(await watcher.settled()).toEqual([])
    gateway.clock.skip(31)
    expect((await watcher.nextPublish()).payload.toString()).toBe('gone')
  })

  test('[MQTT-3.1.2-8] wills of the clients that were connected are published by the next process', async () => {
    const topic = unique('will')
    await gateway.connect({ will: { topic: `${topic}/plain`, payload: '1', retain: true } })
    await gateway.connect({
      will: {
        topic: `${topic}/no-session`,
        payload: '2',
        retain: true,
        properties: { willDelayInterval: 3600 },
      },
    })
    const leaving = await gateway.connect({ will: { topic: `${topic}/left`, payload: '3', retain: true } })
    await leaving.disconnect()
    await gateway.restart()
    const watcher = await gateway.connect()
    await watcher.subscribe(`${topic}/#`)
    const payloads = [...(await watcher.settled())].map(
      (packet) => 'payload' in packet && String(packet.payload),
    )
    expect(payloads.sort()).toEqual(['1', '2'])
  })

  test('[MQTT-4.1.0-2] sessions without an interval do not come back', async () => {
    const clientId = unique('c')
    const client = await gateway.connect({ clientId })
    await client.subscribe(unique('t'), 1)
    await gateway.restart()
    expect((await gateway.connect({ clientId, clean: false })).connack.sessionPresent).toBe(false)
  })
})
