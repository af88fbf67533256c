import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { NotPacked, pack, unpack, type Packed, type Unpacked } from './message-pack.js'

const value: fc.Arbitrary<Packed> = fc.letrec<{ value: Packed }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, false),
    fc.maxSafeInteger(),
    fc.string({ unit: 'binary' }),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.array(tie('value'), { maxLength: 20 }),
  ),
})).value

function asUnpacked(packed: Packed): Unpacked {
  if (typeof packed === 'string') return Buffer.from(packed)
  if (packed instanceof Uint8Array) return Buffer.from(packed)
  if (Array.isArray(packed)) return packed.map(asUnpacked)
  return packed as Unpacked
}

describe('MessagePack', () => {
  it('gives back what was packed, text as bytes', () => {
    fc.assert(
      fc.property(value, (packed) => {
        expect(unpack(pack(packed))).toEqual(asUnpacked(packed))
      }),
    )
    const large = ['x'.repeat(200_000), Buffer.alloc(2_000_000, 'y')]
    expect(unpack(pack(large))).toEqual(large.map((each) => Buffer.from(each)))
    expect(unpack(pack({ a: 1, b: ['c'] }))).toEqual(
      new Map<string, Unpacked>([
        ['a', 1],
        ['b', [Buffer.from('c')]],
      ]),
    )
  })

  it('reads every kind that Redis and Aedes write', () => {
    const kinds: [string, Unpacked][] = [
      ['7f', 127],
      ['ff', -1],
      ['cc80', 128],
      ['cd0100', 256],
      ['cf0000000100000000', 4_294_967_296],
      ['d080', -128],
      ['d1ff00', -256],
      ['d2ffff0000', -65_536],
      ['d3ffffffff00000000', -4_294_967_296],
      ['ca3f800000', 1],
      ['cb3ff0000000000000', 1],
      ['c40161', Buffer.from('a')],
      ['c5000161', Buffer.from('a')],
      ['c60000000161', Buffer.from('a')],
      ['a161', Buffer.from('a')],
      ['d90161', Buffer.from('a')],
      ['da000161', Buffer.from('a')],
      ['9101', [1]],
      ['dc000101', [1]],
      ['81a16101', new Map([['a', 1]])],
      ['de0001a16101', new Map([['a', 1]])],
      ['d40000', null],
      ['c7011b61', Buffer.from('a')],
    ]
    for (const [hex, expected] of kinds)
      expect([hex, unpack(Buffer.from(hex, 'hex'))]).toEqual([hex, expected])
  })

  it('throws nothing but NotPacked for other bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          unpack(Buffer.from(bytes))
        } catch (error) {
          expect(error).toBeInstanceOf(NotPacked)
        }
      }),
    )
    expect(() => unpack(Buffer.alloc(100, 0x91))).toThrow(NotPacked)
    expect(() => unpack(Buffer.from('ddffffffff', 'hex'))).toThrow(NotPacked)
  })
})
