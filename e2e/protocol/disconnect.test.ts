import { describe, expect, test } from 'vitest'
import { TestGateway, unique, useGateway } from '../harness/gateway.js'
import { cutPackets, packetOf, properties } from '../harness/packet-bytes.js'

const gateway = useGateway({ limits: { packetSize: 1024 } })

describe('DISCONNECT from the gateway', () => {
  const malformed: [string, Buffer, number][] = [
    ['a reserved packet type', Buffer.from([0x00, 0]), 0x81],
    ['PINGREQ with reserved flags', Buffer.from([0xc1, 0]), 0x81],
    ['a Remaining Length of five bytes', Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0x01]), 0x81],
    ['a packet too large', Buffer.from([0x30, 0xff, 0x7f]), 0x95],
    ['a packet only servers send', Buffer.from([0x20, 2, 0, 0]), 0x82],
    ['a property that does not belong', packetOf(0x30, [0, 1, 0x74], properties([0x11, 0, 0, 0, 1])), 0x81],
    ['a property twice', packetOf(0x30, [0, 1, 0x74], properties([1, 0], [1, 0])), 0x82],
    ['properties that overrun', packetOf(0x30, [0, 1, 0x74], [9, 1, 0]), 0x81],
  ]
  test.each(malformed)(
    '[MQTT-4.13.1-1] [MQTT-4.13.2-1] [MQTT-3.14.2-1] [MQTT-3.14.4-2] tells the fault, then the connection is closed: %s',
    async (_name, bytes, reasonCode) => {
      const client = await gateway.connect()
      client.write(bytes)
      expect(await client.disconnectedByPeer()).toBe(reasonCode)
    },
  )

  test('[MQTT-3.14.4-1] is the last packet: what the client sent behind its fault is not answered', async () => {
    const client = await gateway.connect()
    client.write(Buffer.concat([Buffer.from([0x00, 0]), Buffer.from([0xc0, 0]), Buffer.from([0xc0, 0])]))
    await client.closedByPeer()
    const packets = cutPackets(Buffer.concat(client.bytes))
    expect(packets.map((packet) => (packet[0] ?? 0) >> 4)).toEqual([2, 14])
  })

  test('[MQTT-3.14.2-2] has no Session Expiry Interval', async () => {
    const clientId = unique('c')
    const client = await gateway.connect({ clientId, properties: { sessionExpiryInterval: 60 } })
    await gateway.connect({ clientId, properties: { sessionExpiryInterval: 60 } })
    const disconnect = await client.next('disconnect')
    expect(disconnect.properties?.sessionExpiryInterval).toBeUndefined()
  })

  test('[MQTT-3.14.1-1] answers DISCONNECT with reserved flags by 0x81', async () => {
    const client = await gateway.connect()
    client.write([0xe1, 0])
    expect(await client.disconnectedByPeer()).toBe(0x81)
  })

  test('[MQTT-3.1.2-29] tells why in words, even to a client that wants no problem information elsewhere', async () => {
    const client = await gateway.connect({ properties: { requestProblemInformation: false } })
    client.write([0x00, 0])
    expect((await client.next('disconnect')).properties?.reasonString).toMatch(/reserved/)
  })
})

describe('DISCONNECT from a client', () => {
  test('[MQTT-3.14.4-2] ends the connection, and nothing behind it is processed', async () => {
    const topic = unique('t')
    const watcher = await gateway.connect()
    await watcher.subscribe(topic)
    const client = await gateway.connect()
    client.send({ cmd: 'disconnect', reasonCode: 0 })
    client.publish(topic, 'too late')
    await client.closedByPeer()
    expect(await client.remainder()).toEqual([])
    expect(await watcher.settled()).toEqual([])
  })

  test('of two bytes means 0x00', async () => {
    const topic = unique('will')
    const watcher = await gateway.connect()
    await watcher.subscribe(topic)
    const client = await gateway.connect({ will: { topic, payload: '' } })
    client.write([0xe0, 0])
    await client.closedByPeer()
    await gateway.connect()
    expect(await watcher.settled()).toEqual([])
  })
})

describe('the end of the gateway', () => {
  test('[MQTT-4.13.2-1] is told by 0x8B; a server reference turns that into 0x9C', async () => {
    for (const [session, expected] of [
      [{}, { reasonCode: 0x8b }],
      [
        { serverReference: 'other:1883' },
        { reasonCode: 0x9c, properties: { serverReference: 'other:1883' } },
      ],
    ] as const) {
      const ending = new TestGateway({ session })
      await ending.start()
      const client = await ending.connect()
      const old = await ending.connect({ protocolVersion: 4 })
      await ending.stop()
      expect(await client.next('disconnect')).toMatchObject(expected)
      await client.closedByPeer()
      expect(await old.remainder()).toEqual([])
      await ending.dispose()
      expect(ending.errors).toEqual([])
    }
  })
})
