import { expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'
import { field, packetOf } from '../harness/packet-bytes.js'
import type { ConnectOptions } from '../harness/raw-client.js'

const gateway = useGateway()
const strict = useGateway({ limits: { strictClientIds: true } })

function connect(options: ConnectOptions = {}) {
  return gateway.connect({ protocolVersion: 3, ...options })
}

test('MQIsdp with level 3 is served', async () => {
  const topic = unique('t')
  const client = await connect()
  expect(client.connack.returnCode).toBe(0)
  await client.subscribe(topic, 2)
  for (const qos of [0, 1, 2] as const) {
    client.publish(topic, `${qos}`, { qos })
    expect(await client.nextPublish()).toMatchObject({ qos, payload: Buffer.from(`${qos}`) })
  }
})

test('an empty identifier is return code 2, with Clean Session too', async () => {
  for (const clean of [0x02, 0]) {
    const client = await gateway.open(3)
    client.write(packetOf(0x10, field('MQIsdp'), [3, clean, 0, 0], field('')))
    expect((await client.next('connack')).returnCode).toBe(2)
    await client.closedByPeer()
  }
})

test('identifiers of more than 23 characters are served, unless the setting is strict', async () => {
  const clientId = 'x'.repeat(24)
  expect((await connect({ clientId })).connack.returnCode).toBe(0)
  expect((await strict.connect({ protocolVersion: 3, clientId })).connack.returnCode).toBe(2)
  expect((await strict.connect({ protocolVersion: 3, clientId: 'x'.repeat(23) })).connack.returnCode).toBe(0)
  expect((await strict.connect({ protocolVersion: 4, clientId })).connack.returnCode).toBe(0)
})

test('CONNACK has no Session Present, though the session is there', async () => {
  const clientId = unique('c')
  const topic = unique('t')
  const first = await connect({ clientId, clean: false })
  await first.subscribe(topic, 1)
  await first.disconnect()
  const publisher = await connect()
  await publisher.publishAcknowledged(topic, 'queued', { qos: 1 })
  const second = await connect({ clientId, clean: false })
  expect(second.bytes[0]?.subarray(0, 4)).toEqual(Buffer.from([0x20, 2, 0, 0]))
  expect(await second.nextPayloads(1)).toEqual(['queued'])
})

test('MQIsdp with another level is return code 1', async () => {
  const client = await gateway.open(3)
  client.write(packetOf(0x10, field('MQIsdp'), [4, 2, 0, 0], field('a')))
  expect((await client.next('connack')).returnCode).toBe(1)
  await client.closedByPeer()
})

test('a flag for a user name without the field is let through: the Remaining Length wins', async () => {
  const client = await gateway.open(3)
  client.write(packetOf(0x10, field('MQIsdp'), [3, 0x82, 0, 0], field(unique('c'))))
  expect((await client.next('connack')).returnCode).toBe(0)
})
