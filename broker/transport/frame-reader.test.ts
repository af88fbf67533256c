import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameReader } from './frame-reader.js'

const BINARY = 0x2

interface ClientFrame {
  readonly opcode?: number
  readonly fin?: boolean
  readonly payload: Buffer
  readonly key?: number
  readonly reserved?: number
  /** Length field to use even where a shorter one would do. */
  readonly lengthField?: 126 | 127
}

/** A masked frame as a client sends it. */
function frame({
  opcode = BINARY,
  fin = true,
  payload,
  key = 0x11223344,
  reserved = 0,
  lengthField,
}: ClientFrame) {
  const { length } = payload
  const field = lengthField ?? (length < 126 ? length : length < 65_536 ? 126 : 127)
  const extended = Buffer.alloc(field === 127 ? 8 : field === 126 ? 2 : 0)
  if (field === 126) extended.writeUInt16BE(length)
  if (field === 127) extended.writeBigUInt64BE(BigInt(length))
  const mask = Buffer.alloc(4)
  mask.writeUInt32BE(key)
  const masked = payload.map((byte, i) => byte ^ (mask[i & 3] ?? 0))
  const head = Buffer.of((fin ? 0x80 : 0) | (reserved << 4) | opcode, 0x80 | field)
  return Buffer.concat([head, extended, mask, masked])
}

/** Feeds the bytes in pieces that end at the cuts; returns all payload and all pings that were seen. */
function readIn(reader: FrameReader, bytes: Buffer, cuts: readonly number[] = []) {
  const payload: Buffer[] = []
  const pings: Buffer[] = []
  const ends = [...new Set([...cuts, bytes.length])]
    .filter((cut) => cut <= bytes.length)
    .sort((a, b) => a - b)
  let from = 0
  for (const to of ends) {
    if (reader.end !== undefined) break
    payload.push(read(reader, bytes.subarray(from, to)))
    if (reader.ping !== undefined) pings.push(reader.ping)
    reader.ping = undefined
    from = to
  }
  return { payload: Buffer.concat(payload), pings }
}

/** What one read gives. It unmasks in place: `bytes` is copied, in front of what an earlier read left behind. */
function read(reader: FrameReader, bytes: Buffer): Buffer {
  const chunk = Buffer.concat([bytes, Buffer.alloc(16, 0x82)])
  reader.read(chunk, bytes.length)
  return chunk.subarray(reader.payloadStart, reader.payloadEnd)
}

function everyCut(length: number): number[] {
  return Array.from({ length }, (_, i) => i + 1)
}

describe('payload', () => {
  it('comes out of frames of every length field', () => {
    for (const length of [0, 1, 125, 126, 127, 65_535, 65_536, 200_001]) {
      const payload = Buffer.from(Array.from({ length }, (_, i) => i % 251))
      expect(readIn(new FrameReader(), frame({ payload })).payload.equals(payload)).toBe(true)
    }
  })

  it('of several frames in one read is handed on in one piece, in the memory of the read', () => {
    const chunk = Buffer.concat(['one', 'two', 'three'].map((text) => frame({ payload: Buffer.from(text) })))
    const reader = new FrameReader()
    reader.read(chunk, chunk.length)
    expect(chunk.toString('utf8', reader.payloadStart, reader.payloadEnd)).toBe('onetwothree')
  })

  it('of a frame that has not arrived whole is handed on as it comes', () => {
    const reader = new FrameReader()
    const bytes = frame({ payload: Buffer.from('abcdefgh') })
    expect(read(reader, bytes.subarray(0, 9)).toString()).toBe('abc')
    expect(read(reader, bytes.subarray(9)).toString()).toBe('defgh')
  })

  it('of a fragmented message goes straight on, with control frames between', () => {
    const bytes = Buffer.concat([
      frame({ payload: Buffer.from('ab'), fin: false }),
      frame({ payload: Buffer.from('?'), opcode: 0x9 }),
      frame({ payload: Buffer.from('cd'), fin: false, opcode: 0 }),
      frame({ payload: Buffer.from('ef'), opcode: 0 }),
      frame({ payload: Buffer.from('gh') }),
    ])
    const { payload, pings } = readIn(new FrameReader(), bytes)
    expect(payload.toString()).toBe('abcdefgh')
    expect(pings.map(String)).toEqual(['?'])
  })

  it('is the same whatever the frames and wherever the reads are cut', () => {
    const clientFrame = fc.record({
      payload: fc.oneof(
        fc.uint8Array({ maxLength: 20 }),
        fc.uint8Array({ minLength: 100, maxLength: 400, size: 'max' }),
      ),
      key: fc.nat({ max: 0xffff_ffff }),
      ping: fc.boolean(),
    })
    fc.assert(
      fc.property(
        fc.array(clientFrame, { maxLength: 8 }),
        fc.array(fc.nat({ max: 2_000 })),
        (frames, cuts) => {
          const bytes: Buffer[] = []
          const expected: Buffer[] = []
          for (const { payload, key, ping } of frames) {
            if (ping) bytes.push(frame({ payload: Buffer.from(payload.subarray(0, 125)), opcode: 0x9, key }))
            bytes.push(frame({ payload: Buffer.from(payload), key }))
            expected.push(Buffer.from(payload))
          }
          const stream = Buffer.concat(bytes)
          const reader = new FrameReader()
          expect(readIn(reader, stream, cuts).payload.equals(Buffer.concat(expected))).toBe(true)
          expect(reader.end).toBeUndefined()
          const again = readIn(new FrameReader(), stream, everyCut(stream.length))
          expect(again.payload.equals(Buffer.concat(expected))).toBe(true)
          expect(again.pings).toHaveLength(frames.filter(({ ping }) => ping).length)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('of a shorter frame in a longer length field is taken: not every small client is minimal', () => {
    for (const lengthField of [126, 127] as const) {
      const { payload } = readIn(new FrameReader(), frame({ payload: Buffer.from('x'), lengthField }))
      expect(payload.toString()).toBe('x')
    }
  })
})

describe('the end', () => {
  const nothing = Buffer.alloc(0)
  function endOf(bytes: Buffer) {
    const reader = new FrameReader()
    read(reader, bytes)
    return reader.end
  }
  function close(payload: Buffer) {
    return frame({ opcode: 0x8, payload })
  }

  it.each([
    ['reserved bits', frame({ payload: nothing, reserved: 4 }), 1002],
    ['no mask', Buffer.of(0x82, 0x00), 1002],
    ['a continuation of nothing', frame({ payload: nothing, opcode: 0 }), 1002],
    ['text [MQTT-6.0.0-1]', frame({ payload: Buffer.from('hi'), opcode: 1 }), 1003],
    ['reserved data opcode', frame({ payload: nothing, opcode: 3 }), 1002],
    ['reserved control opcode', frame({ payload: nothing, opcode: 11 }), 1002],
    ['fragmented ping', frame({ payload: nothing, opcode: 9, fin: false }), 1002],
    ['ping of 126 bytes', frame({ payload: Buffer.alloc(126), opcode: 9 }), 1002],
    ['close of one byte', close(Buffer.of(3)), 1002],
    ['close with code 1005', close(Buffer.of(3, 237)), 1002],
    ['close with code 999', close(Buffer.of(3, 231)), 1002],
    ['close with a reason that is not UTF-8', close(Buffer.of(3, 232, 0xc3, 0x28)), 1002],
    ['length with the highest bit', Buffer.of(0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4), 1002],
    ['length above 2^53', Buffer.of(0x82, 0xff, 0, 0x20, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4), 1009],
  ])('%s is a violation', (_what, bytes, code) => {
    expect(endOf(bytes)).toMatchObject({ kind: 'violation', code })
    const cut = new FrameReader()
    readIn(cut, bytes, everyCut(bytes.length))
    expect(cut.end).toMatchObject({ kind: 'violation', code })
  })

  it('is a violation for a new message inside a fragmented one', () => {
    const bytes = Buffer.concat([frame({ payload: nothing, fin: false }), frame({ payload: nothing })])
    expect(endOf(bytes)).toMatchObject({ kind: 'violation', code: 1002 })
  })

  it('comes with a close frame: what is before it counts, what is behind it does not', () => {
    const reader = new FrameReader()
    const bytes = Buffer.concat([
      frame({ payload: Buffer.from('before') }),
      close(Buffer.concat([Buffer.of(3, 233), Buffer.from('bye')])),
      frame({ payload: Buffer.from('behind') }),
    ])
    expect(read(reader, bytes).toString()).toBe('before')
    expect(reader.end).toEqual({ kind: 'closed', code: 1001 })
  })

  it('without a code is an ordinary one', () => {
    expect(endOf(close(nothing))).toEqual({ kind: 'closed', code: 1000 })
  })
})

it('remembers the latest ping only: one pong answers all that came in a read (RFC 6455, 5.5.3)', () => {
  const reader = new FrameReader()
  read(reader, Buffer.concat(['1', '2', '3'].map((text) => frame({ payload: Buffer.from(text), opcode: 9 }))))
  expect(reader.ping?.toString()).toBe('3')
})

it('takes any bytes, cut anywhere, without throwing', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 64 }), fc.constant(Uint8Array.of(0x82, 0x84))),
      ),
      fc.array(fc.nat({ max: 200 })),
      (parts, cuts) => {
        const bytes = Buffer.concat(parts)
        const { payload } = readIn(new FrameReader(), bytes, cuts)
        expect(payload.length).toBeLessThanOrEqual(bytes.length)
      },
    ),
    { numRuns: 2_000 },
  )
})
