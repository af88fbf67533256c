import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ProtocolVersion } from './packet.js'
import { bytes, connect, connectWith, decode, field, packet, properties, u16, u32 } from './wire-fixture.js'

/*
 * Whatever comes in: no throw, no read outside the bytes (it would show as a difference between splittings, since
 * each lies in other memory), at most one violation and nothing behind it, and the same result for every
 * splitting. A failing case is printed with its seed by fast-check.
 */
const RUNS = 10_000

const cuts = fc.array(fc.nat(400), { maxLength: 6 })

describe('the decoder under arbitrary input', () => {
  it('random bytes', () => {
    const input = fc.tuple(fc.uint8Array({ maxLength: 200 }), fc.boolean(), version())
    fc.assert(
      fc.property(input, cuts, ([random, connected, level], at) => {
        const stream = connected ? bytes(connect(level), Buffer.from(random)) : Buffer.from(random)
        holds(stream, at)
      }),
      { numRuns: RUNS },
    )
  })

  it('a valid header with random fields', () => {
    const input = fc.tuple(fc.nat(255), fc.uint8Array({ maxLength: 120 }), version())
    fc.assert(
      fc.property(input, cuts, ([first, random, level], at) => {
        holds(bytes(connect(level), packet(first, Buffer.from(random)), packet(0xc0)), at)
      }),
      { numRuns: RUNS },
    )
  })

  it('valid packets with bytes changed, removed and inserted', () => {
    const change = fc.record({
      at: fc.nat(400),
      kind: fc.constantFrom('set', 'flip', 'remove', 'insert'),
      value: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff)),
    })
    fc.assert(
      fc.property(version(), fc.array(change, { minLength: 1, maxLength: 4 }), cuts, (level, changes, at) => {
        const stream = [...valid(level)]
        for (const { at: position, kind, value } of changes) {
          const index = position % stream.length
          if (kind === 'set') stream[index] = value
          else if (kind === 'flip') stream[index] = (stream[index] ?? 0) ^ (1 << (value & 7))
          else if (kind === 'remove') stream.splice(index, 1)
          else stream.splice(index, 0, value)
        }
        holds(Buffer.from(stream), at)
      }),
      { numRuns: RUNS },
    )
  })

  it('valid packets, cut at random', () => {
    fc.assert(
      fc.property(version(), cuts, (level, at) => {
        const stream = valid(level)
        holds(stream, at)
        expect(decode([stream]).at(-1)).toMatchObject({ type: 'disconnect' })
      }),
      { numRuns: 2_000 },
    )
  })

  it('properties in any order and number', () => {
    const identifier = fc.oneof(fc.nat(0x2a), fc.constantFrom(0x01, 0x02, 0x03, 0x08, 0x09, 0x0b, 0x23, 0x26))
    const value = fc.oneof(
      fc.nat(255).map((n) => Buffer.from([n])),
      fc.nat(65_535).map(u16),
      fc.nat(0x7fff_ffff).map(u32),
      fc.string({ unit: 'binary', maxLength: 8 }).map((text) => field(text)),
    )
    const block = fc.array(fc.tuple(identifier, value), { maxLength: 5 }).map((all) => properties(...all))
    fc.assert(
      fc.property(
        block,
        fc.constantFrom(0x30, 0x32, 0x40, 0x82, 0xa2, 0xe0, 0xf0),
        cuts,
        (props, first, at) => {
          const front = first < 0x40 ? field('t') : first >= 0xe0 ? [0x18] : []
          const id = first === 0x30 || first >= 0xe0 ? [] : u16(1)
          const code = first === 0x40 ? [0] : []
          const back = first === 0x82 ? [field('f'), 0] : first === 0xa2 ? field('f') : []
          holds(bytes(connect(5), packet(first, front, id, code, props, back)), at)
        },
      ),
      { numRuns: RUNS },
    )
  })
})

function version(): fc.Arbitrary<ProtocolVersion> {
  return fc.constantFrom(3, 4, 5)
}

function holds(stream: Buffer, at: readonly number[]): void {
  const whole = decode([stream])
  const violations = whole.filter((each) => each.type === 'violation')
  expect(violations.length).toBeLessThanOrEqual(1)
  if (violations.length === 1) expect(whole.at(-1)?.type).toBe('violation')

  const places = [...new Set(at.map((place) => place % (stream.length + 1)))].sort((a, b) => a - b)
  // Each piece in memory of its own size: a read outside it gives undefined, not the neighbour's byte.
  const pieces = [...places, stream.length].map((end, i) => exact(stream.subarray(places[i - 1] ?? 0, end)))
  expect(decode(pieces)).toEqual(whole)
  expect(decode([exact(stream)])).toEqual(whole)
}

function exact(piece: Buffer): Buffer {
  const own = Buffer.allocUnsafeSlow(piece.length)
  piece.copy(own)
  return own
}

/** One of every packet that a client of that version sends. */
function valid(level: ProtocolVersion): Buffer {
  const block = (...fields: Parameters<typeof properties>) => (level === 5 ? properties(...fields) : [])
  return bytes(
    connectWith(
      level,
      0xee,
      properties([0x11, u32(9)], [0x21, u16(3)], [0x26, field('k'), field('v')]),
      field('client'),
      block([0x18, u32(1)], [0x08, field('r')]),
      field('will'),
      field('gone'),
      field('user'),
      field('password'),
    ),
    packet(0x31, field('a/b'), block(), Buffer.from('payload')),
    packet(0x3c, field('é/🌡'), u16(1), block([0x23, u16(1)], [0x03, field('text')], [0x02, u32(5)])),
    packet(0x40, u16(2), level === 5 ? [0x10, properties([0x1f, field('why')])] : []),
    packet(0x62, u16(3)),
    packet(0x82, u16(4), block([0x0b, 5]), field('a/+'), 1, field('#'), 2),
    packet(0xa2, u16(5), block(), field('a/+')),
    packet(0xc0),
    level === 5 ? packet(0xf0, 0x19, properties([0x15, field('m')], [0x16, field('d')])) : [],
    packet(0xe0, level === 5 ? [0x04, properties([0x11, u32(0)])] : []),
  )
}
