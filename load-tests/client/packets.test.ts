import fc from 'fast-check'
import mqttPacket, { type Packet } from 'mqtt-packet'
import { describe, expect, it } from 'vitest'
import { frameOverhead, writeMaskedFrame } from './masked-frame.js'
import { MessageTemplate, readMicros, readPublisher, readSequence, STAMP_BYTES } from './message-template.js'
import { PUBACK, PUBREL } from './packet-reader.js'
import {
  connectPacket,
  disconnectPacket,
  publishPacket,
  subscribePacket,
  writeAcknowledgement,
} from './packets.js'

function parse(bytes: Buffer, protocolVersion: 4 | 5 = 4): Packet {
  const packets: Packet[] = []
  const parser = mqttPacket.parser({ protocolVersion })
  parser.on('packet', (packet) => packets.push(packet))
  parser.on('error', (error: Error) => expect.fail(error.message))
  parser.parse(bytes)
  expect(packets).toHaveLength(1)
  return packets[0]!
}

/** The payload of one masked frame. */
function unmask(frame: Buffer): Buffer {
  const short = frame[1]! & 0x7f
  const at = short === 126 ? 4 : short === 127 ? 10 : 2
  expect(frame[0]).toBe(0x82)
  expect(frame[1]! & 0x80).toBe(0x80)
  const length =
    short === 126 ? frame.readUInt16BE(2) : short === 127 ? Number(frame.readBigUInt64BE(2)) : short
  expect(frame.length).toBe(at + 4 + length)
  return Buffer.from(frame.subarray(at + 4).map((byte, index) => byte ^ frame[at + (index & 3)]!))
}

const version = fc.constantFrom(4 as const, 5 as const)
const word = fc.integer({ min: 0, max: 0xffff_ffff })

describe('packets of a client', () => {
  it('connects with and without credentials and a session that stays', () => {
    const bare = {
      clientId: 'c1',
      clean: true,
      sessionExpirySeconds: 0,
      username: undefined,
      password: undefined,
    }
    expect(parse(connectPacket({ ...bare, version: 4 }))).toMatchObject({
      cmd: 'connect',
      protocolVersion: 4,
      clientId: 'c1',
      clean: true,
      keepalive: 0,
    })
    const full = { ...bare, clean: false, sessionExpirySeconds: 3_600, username: 'u', password: 'p' }
    const packet = parse(connectPacket({ ...full, version: 5 })) as unknown as Record<string, unknown>
    expect(packet).toMatchObject({ protocolVersion: 5, clean: false, username: 'u' })
    expect(packet['properties']).toEqual({ sessionExpiryInterval: 3_600 })
    expect(String(packet['password'])).toBe('p')
  })

  it('subscribes, acknowledges and disconnects', () => {
    fc.assert(
      fc.property(version, (protocolVersion) => {
        const packet = parse(subscribePacket(protocolVersion, 7, ['a/+', 'b'], 1), protocolVersion)
        expect(packet).toMatchObject({
          cmd: 'subscribe',
          messageId: 7,
          subscriptions: [
            { topic: 'a/+', qos: 1 },
            { topic: 'b', qos: 1 },
          ],
        })
        const bytes = Buffer.alloc(4)
        writeAcknowledgement(bytes, 0, PUBACK, 0x1234)
        expect(parse(bytes, protocolVersion)).toMatchObject({ cmd: 'puback', messageId: 0x1234 })
        writeAcknowledgement(bytes, 0, PUBREL, 1)
        expect(parse(bytes, protocolVersion)).toMatchObject({ cmd: 'pubrel', messageId: 1 })
        expect(parse(disconnectPacket(), protocolVersion)).toMatchObject({ cmd: 'disconnect' })
      }),
    )
  })

  it('publishes payloads of any length', () => {
    fc.assert(
      fc.property(
        version,
        fc.constantFrom(0, 1, 2),
        fc.nat(20_000),
        fc.boolean(),
        (protocol, qos, length, retain) => {
          const payload = Buffer.alloc(length, 'p')
          const packet = parse(
            publishPacket({ version: protocol, topic: 'a/b', qos, retain, packetId: 9, payload }),
            protocol,
          )
          expect(packet).toMatchObject({ cmd: 'publish', topic: 'a/b', qos, retain })
          expect((packet as { payload: Buffer }).payload.equals(payload)).toBe(true)
        },
      ),
    )
  })

  it('masks frames of any length', () => {
    for (const length of [0, 1, 125, 126, 65_535, 65_536]) {
      const payload = Buffer.alloc(length, 'data')
      const frame = Buffer.alloc(length + frameOverhead(length))
      expect(writeMaskedFrame(frame, 0, payload)).toBe(frame.length)
      expect(unmask(frame).equals(payload)).toBe(true)
    }
  })

  it('stamps each message of a template, framed or bare', () => {
    fc.assert(
      fc.property(
        fc.record({
          version,
          qos: fc.constantFrom(0, 1, 2),
          payloadBytes: fc.integer({ min: STAMP_BYTES, max: 400 }),
          publisher: word,
          framed: fc.boolean(),
          topic: fc.constantFrom('a', 'ab', 'abc', 'abcd'),
        }),
        fc.integer({ min: 1, max: 65_535 }),
        word,
        word,
        (options, packetId, sequence, micros) => {
          const template = new MessageTemplate({ ...options, retain: false })
          const bytes = Buffer.alloc(template.length + 3)
          template.write(bytes, 3, packetId, sequence, micros)
          const sent = options.framed ? unmask(bytes.subarray(3)) : bytes.subarray(3)
          const packet = parse(sent, options.version) as Packet & { payload: Buffer; messageId?: number }
          expect(packet).toMatchObject({ cmd: 'publish', topic: options.topic, qos: options.qos })
          if (options.qos > 0) expect(packet.messageId).toBe(packetId)
          expect(packet.payload).toHaveLength(options.payloadBytes)
          expect(readPublisher(packet.payload, 0)).toBe(options.publisher)
          expect(readSequence(packet.payload, 0)).toBe(sequence)
          expect(readMicros(packet.payload, 0)).toBe(micros)
        },
      ),
    )
  })
})
