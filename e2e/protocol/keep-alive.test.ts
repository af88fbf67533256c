import { describe, expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'

const gateway = useGateway()
const limited = useGateway({ limits: { keepAliveMaximumSeconds: 60 } })

describe('Keep Alive', () => {
  test('[MQTT-3.1.2-22] [MQTT-3.2.2-22] silence of one and a half times ends the connection', async () => {
    const topic = unique('will')
    const watcher = await gateway.connect()
    await watcher.subscribe(topic)
    const client = await gateway.connect({ keepalive: 10, will: { topic, payload: 'silent' } })
    expect(client.connack.properties).not.toHaveProperty('serverKeepAlive')
    gateway.clock.skip(14)
    expect(await client.settled()).toEqual([])
    gateway.clock.skip(14)
    expect(await client.settled()).toEqual([])
    gateway.clock.skip(16)
    expect(await client.disconnectedByPeer()).toBe(0x8d)
    expect((await watcher.nextPublish()).payload.toString()).toBe('silent')
  })

  test('[MQTT-3.1.2-22] any packet counts as a sign of life', async () => {
    const client = await gateway.connect({ keepalive: 10 })
    for (let i = 0; i < 4; i++) {
      gateway.clock.skip(12)
      await client.publishAcknowledged(unique('t'), 'x', { qos: 1 })
    }
    expect(client.open).toBe(true)
  })

  test('[MQTT-3.1.2-22] a value of 0 switches it off', async () => {
    const client = await gateway.connect({ keepalive: 0 })
    gateway.clock.skip(1_000_000)
    expect(await client.settled()).toEqual([])
  })
})

describe('Server Keep Alive', () => {
  test.each([0, 61, 65_535])(
    '[MQTT-3.1.2-21] [MQTT-3.2.2-21] above the maximum (%i) it is lowered, told, and holds',
    async (keepalive) => {
      const client = await limited.connect({ keepalive })
      expect(client.connack.properties?.serverKeepAlive).toBe(60)
      limited.clock.skip(91)
      expect(await client.disconnectedByPeer()).toBe(0x8d)
    },
  )

  test('[MQTT-3.2.2-22] below it the value of the client holds', async () => {
    const client = await limited.connect({ keepalive: 20 })
    expect(client.connack.properties).not.toHaveProperty('serverKeepAlive')
    limited.clock.skip(31)
    expect(await client.disconnectedByPeer()).toBe(0x8d)
  })
})
