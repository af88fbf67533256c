import fc from 'fast-check'
import mqttPacket from 'mqtt-packet'
import { describe, expect, it } from 'vitest'
import { FrameReader, PING, type CLOSE } from './frame-reader.js'
import { CONNACK, PacketReader, PUBACK, PUBREL, SUBACK } from './packet-reader.js'

/** What the readers hand over, as plain values. */
type Seen =
  | { kind: 'publish'; payload: string; qos: number; packetId: number }
  | { kind: 'acknowledgement'; type: number; packetId: number; reason: number }
  | { kind: 'other'; type: number; body: string }

function collector() {
  const seen: Seen[] = []
  return {
    seen,
    publish: (bytes: Buffer, payload: number, end: number, qos: number, packetId: number) =>
      seen.push({ kind: 'publish', payload: bytes.toString('latin1', payload, end), qos, packetId }),
    acknowledgement: (type: number, packetId: number, reason: number) =>
      seen.push({ kind: 'acknowledgement', type, packetId, reason }),
    other: (type: number, bytes: Buffer, start: number, end: number) =>
      seen.push({ kind: 'other', type, body: bytes.toString('hex', start, end) }),
  }
}

/** Cuts bytes at arbitrary places, and moves them, as reads into a shared buffer do. */
function feed(
  bytes: Buffer,
  cuts: readonly number[],
  push: (buffer: Buffer, start: number, end: number) => void,
) {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b)
  const shared = Buffer.alloc(bytes.length + 7)
  for (const [index, start] of places.slice(0, -1).entries()) {
    const length = bytes.copy(shared, 7, start, places[index + 1])
    push(shared, 7, 7 + length)
    shared.fill(0xff)
  }
}

/** A frame as a server sends it: not masked. */
function serverFrame(payload: Buffer, opcode = 0x82): Buffer {
  const { length } = payload
  const head =
    length < 126
      ? [opcode, length]
      : length < 65_536
        ? [opcode, 126, length >> 8, length & 0xff]
        : [opcode, 127, 0, 0, 0, 0, length >>> 24, (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff]
  return Buffer.concat([Buffer.from(head), payload])
}

const message = fc.record({
  qos: fc.constantFrom(0, 1, 2),
  packetId: fc.integer({ min: 1, max: 65_535 }),
  payload: fc.string({ unit: 'binary-ascii', maxLength: 300 }),
  topic: fc.constantFrom('a', 'load/1/pairs/17', 't'.repeat(200)),
})

const version = fc.constantFrom(4 as const, 5 as const)
const cuts = fc.array(fc.nat(5_000), { maxLength: 12 })

describe('reading packets', () => {
  it('finds the publishes of any version in any pieces, in one frame, several or none', () => {
    fc.assert(
      fc.property(fc.array(message), version, cuts, fc.boolean(), (messages, protocolVersion, at, framed) => {
        const packets = messages.map(({ qos, packetId, ...rest }) =>
          mqttPacket.generate(
            {
              cmd: 'publish',
              dup: false,
              retain: false,
              qos,
              ...(qos > 0 && { messageId: packetId }),
              ...rest,
            },
            { protocolVersion },
          ),
        )
        const sink = collector()
        const reader = new PacketReader(sink, protocolVersion)
        if (framed) {
          const frames = new FrameReader({
            frameBytes: (...bytes) => reader.push(...bytes),
            control: () => {},
          })
          feed(Buffer.concat(packets.map((packet) => serverFrame(packet))), at, (...bytes) =>
            frames.push(...bytes),
          )
        } else {
          feed(Buffer.concat(packets), at, (...bytes) => reader.push(...bytes))
        }
        expect(sink.seen).toEqual(
          messages.map(({ qos, packetId, payload }) => ({
            kind: 'publish',
            payload,
            qos,
            packetId: qos > 0 ? packetId : 0,
          })),
        )
      }),
    )
  })

  it('steps over properties, however long', () => {
    const packet = mqttPacket.generate(
      {
        cmd: 'publish',
        dup: false,
        retain: false,
        qos: 1,
        messageId: 5,
        topic: 'a',
        payload: 'here',
        properties: { contentType: 'x'.repeat(300), messageExpiryInterval: 9 },
      },
      { protocolVersion: 5 },
    )
    const sink = collector()
    new PacketReader(sink, 5).push(packet, 0, packet.length)
    expect(sink.seen).toEqual([{ kind: 'publish', payload: 'here', qos: 1, packetId: 5 }])
  })

  it('tells acknowledgements, with and without reason, from the rest', () => {
    const sink = collector()
    const bytes = Buffer.from([
      0x20, 3, 0, 0, 0, 0x40, 2, 1, 2, 0x40, 3, 1, 3, 0x97, 0x62, 2, 0, 9, 0x90, 4, 0, 1, 0, 0x80,
    ])
    feed(bytes, [1, 7, 13], (...piece) => new PacketReader(sink, 5).push(...piece))
    sink.seen.length = 0
    const reader = new PacketReader(sink, 5)
    feed(bytes, [1, 7, 13], (...piece) => reader.push(...piece))
    expect(sink.seen).toEqual([
      { kind: 'other', type: CONNACK, body: '000000' },
      { kind: 'acknowledgement', type: PUBACK, packetId: 0x0102, reason: 0 },
      { kind: 'acknowledgement', type: PUBACK, packetId: 0x0103, reason: 0x97 },
      { kind: 'acknowledgement', type: PUBREL, packetId: 9, reason: 0 },
      { kind: 'other', type: SUBACK, body: '00010080' },
    ])
  })

  it('takes frames of every length form, continued ones, and pings between them', () => {
    const parts = [Buffer.alloc(10, 'a'), Buffer.alloc(200, 'b'), Buffer.alloc(70_000, 'c'), Buffer.alloc(0)]
    const bytes = Buffer.concat([
      serverFrame(parts[0]!, 0x02),
      serverFrame(Buffer.from('are you there'), 0x89),
      ...parts.slice(1).map((part) => serverFrame(part, 0x80)),
    ])
    fc.assert(
      fc.property(cuts, (at) => {
        const payloads: Buffer[] = []
        const controls: [typeof PING | typeof CLOSE, string][] = []
        const reader = new FrameReader({
          frameBytes: (buffer, start, end) => payloads.push(Buffer.from(buffer.subarray(start, end))),
          control: (opcode, payload) => controls.push([opcode, payload.toString()]),
        })
        feed(bytes, at, (...piece) => reader.push(...piece))
        expect(Buffer.concat(payloads).equals(Buffer.concat(parts))).toBe(true)
        expect(controls).toEqual([[PING, 'are you there']])
      }),
    )
  })
})
