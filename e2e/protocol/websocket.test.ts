import { expect, test } from 'vitest'
import { unique, useGateway } from '../harness/gateway.js'
import { connectOf, field, packetOf, uint16 } from '../harness/packet-bytes.js'

const gateway = useGateway()

test('[MQTT-4.2-1] [MQTT-6.0.0-4] MQTT is served over WebSocket, with the subprotocol mqtt', async () => {
  const topic = unique('t')
  const { client, socket } = await gateway.openWebSocket()
  expect(socket.protocol).toBe('mqtt')
  const { connack } = await client.connect({ clientId: unique('c') })
  expect(connack.reasonCode).toBe(0)
  await client.subscribe(topic, 1)
  const other = await gateway.connect()
  await other.subscribe(topic, 1)
  client.publish(topic, 'x', { qos: 1 })
  expect((await client.nextPublish()).payload.toString()).toBe('x')
  expect((await other.nextPublish()).payload.toString()).toBe('x')
})

test('[MQTT-6.0.0-2] packets may be split over frames anywhere, and share one', async () => {
  const topic = unique('t')
  const { client, socket } = await gateway.openWebSocket()
  const packets = Buffer.concat([
    connectOf(0x02, [0], field(unique('c'))),
    packetOf(0x82, uint16(1), [0], field(topic), [1]),
    packetOf(0x32, field(topic), uint16(2), [0], Buffer.from('x')),
    Buffer.from([0xc0, 0]),
  ])
  for (const byte of packets) socket.send(Buffer.from([byte]))
  await client.next('connack')
  await client.next('suback')
  expect((await client.nextPublish()).payload.toString()).toBe('x')
  await client.next('puback')
  await client.next('pingresp')
  socket.send(Buffer.concat(Array.from({ length: 50 }, () => Buffer.from([0xc0, 0]))))
  for (let i = 0; i < 50; i++) await client.next('pingresp')
})

test('[MQTT-6.0.0-1] a text frame ends the connection', async () => {
  const { client, socket } = await gateway.openWebSocket()
  await client.connect({ clientId: unique('c') })
  const closed = new Promise<number>((resolve) => socket.once('close', resolve))
  socket.send('text')
  expect(await closed).toBe(1003)
})

test('[MQTT-4.13.1-1] a fault is told by DISCONNECT, and the close code tells why', async () => {
  const { client, socket } = await gateway.openWebSocket()
  await client.connect({ clientId: unique('c') })
  const closed = new Promise<number>((resolve) => socket.once('close', resolve))
  client.write([0x00, 0])
  expect((await client.next('disconnect')).reasonCode).toBe(0x81)
  expect(await closed).toBe(1002)
})
