/**
 * MessagePack, as far as Redis' `cmsgpack` and aedes-persistence-redis write it. A group of writes travels as one
 * argument in this form: Lua takes it apart in C, and neither side counts thousands of arguments.
 */
export type Packed =
  null | boolean | number | string | Uint8Array | readonly Packed[] | { readonly [name: string]: Packed }

/** What `unpack` returns: strings as bytes, because Lua knows no difference between text and bytes. */
export type Unpacked = null | boolean | number | Buffer | readonly Unpacked[] | ReadonlyMap<string, Unpacked>

/** Bytes that are no MessagePack. */
export class NotPacked extends Error {
  override readonly name = 'NotPacked'
}

/** Packs one value. Numbers are integers up to 2^53 - 1 either way. */
export function pack(value: Packed): Buffer {
  const length = write(0, value)
  const packed = Buffer.allocUnsafe(length)
  scratch.copy(packed, 0, 0, length)
  // One message of 256 MiB must not keep as much for ever.
  if (scratch.length > LARGEST_KEPT) scratch = Buffer.allocUnsafeSlow(SMALLEST)
  return packed
}

/** Everything is written here first: one pass, whatever the length. */
const SMALLEST = 65_536
const LARGEST_KEPT = 1_048_576
let scratch = Buffer.allocUnsafeSlow(SMALLEST)

function reserve(until: number): void {
  if (until <= scratch.length) return
  const grown = Buffer.allocUnsafeSlow(Math.max(until, scratch.length * 2))
  scratch.copy(grown)
  scratch = grown
}

/** The head of an array whose elements are packed already. */
export function arrayHead(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(5)
  bytes[0] = 0xdd
  bytes.writeUInt32BE(length, 1)
  return bytes
}

/** Takes a value apart. Byte strings are views of `bytes`. Throws `NotPacked`. */
export function unpack(bytes: Buffer): Unpacked {
  const reader = new Reader(bytes)
  const value = reader.value(0)
  if (reader.at !== bytes.length) throw new NotPacked('bytes follow the value')
  return value
}

/** The text of a byte string; empty for anything else. */
export function textOf(value: Unpacked | undefined): string {
  return Buffer.isBuffer(value) ? value.toString() : ''
}

/** Writes a value at a place, and returns where the next one begins. */
function write(at: number, value: Packed): number {
  reserve(at + 9)
  if (value === null) return scratch.writeUInt8(0xc0, at)
  if (typeof value === 'boolean') return scratch.writeUInt8(value ? 0xc3 : 0xc2, at)
  if (typeof value === 'number') return writeNumber(at, value)
  if (typeof value === 'string') {
    // A byte string and not `bin`: Lua gets the same, and older servers know no `bin`.
    reserve(at + 5 + value.length * 3)
    return writeHead(0xdb, at, scratch.write(value, at + 5), true)
  }
  if (value instanceof Uint8Array) {
    reserve(at + 5 + value.length)
    scratch.set(value, at + 5)
    return writeHead(0xdb, at, value.length, true)
  }
  if (isArray(value)) {
    let next = writeHead(0xdd, at, value.length, false)
    for (const item of value) next = write(next, item)
    return next
  }
  const entries = Object.entries(value)
  let next = writeHead(0xdf, at, entries.length, false)
  for (const [name, item] of entries) next = write(write(next, name), item)
  return next
}

function writeHead(kind: number, at: number, length: number, holdsBytes: boolean): number {
  scratch[at] = kind
  const next = scratch.writeUInt32BE(length, at + 1)
  return holdsBytes ? next + length : next
}

function writeNumber(at: number, value: number): number {
  if (isSmall(value)) return scratch.writeUInt8(value, at)
  if (isUint32(value)) {
    scratch[at] = 0xce
    return scratch.writeUInt32BE(value, at + 1)
  }
  // A double is what Lua makes of a number anyway.
  scratch[at] = 0xcb
  return scratch.writeDoubleBE(value, at + 1)
}

function isSmall(value: number): boolean {
  return value >= 0 && value < 0x80 && Number.isInteger(value)
}

function isUint32(value: number): boolean {
  return value >>> 0 === value
}

function isArray(value: Packed): value is readonly Packed[] {
  return Array.isArray(value)
}

/** Deeper nesting is refused: what is read may be damaged. */
const MAX_DEPTH = 32

class Reader {
  at = 0

  constructor(private readonly bytes: Buffer) {}

  value(depth: number): Unpacked {
    if (depth > MAX_DEPTH) throw new NotPacked('nested too deeply')
    const kind = this.uint(1)
    if (kind < 0x80) return kind
    if (kind >= 0xe0) return kind - 0x100
    if (kind < 0x90) return this.map(kind & 0x0f, depth)
    if (kind < 0xa0) return this.array(kind & 0x0f, depth)
    if (kind < 0xc0) return this.raw(kind & 0x1f)
    switch (kind) {
      case 0xc0:
        return null
      case 0xc2:
        return false
      case 0xc3:
        return true
      case 0xc4:
      case 0xd9:
        return this.raw(this.uint(1))
      case 0xc5:
      case 0xda:
        return this.raw(this.uint(2))
      case 0xc6:
      case 0xdb:
        return this.raw(this.uint(4))
      case 0xca:
        return this.take(4).readFloatBE()
      case 0xcb:
        return this.take(8).readDoubleBE()
      case 0xcc:
        return this.uint(1)
      case 0xcd:
        return this.uint(2)
      case 0xce:
        return this.uint(4)
      case 0xcf:
        return Number(this.take(8).readBigUInt64BE())
      case 0xd0:
        return this.take(1).readInt8()
      case 0xd1:
        return this.take(2).readInt16BE()
      case 0xd2:
        return this.take(4).readInt32BE()
      case 0xd3:
        return Number(this.take(8).readBigInt64BE())
      case 0xdc:
        return this.array(this.uint(2), depth)
      case 0xdd:
        return this.array(this.uint(4), depth)
      case 0xde:
        return this.map(this.uint(2), depth)
      case 0xdf:
        return this.map(this.uint(4), depth)
      // Extensions: aedes-persistence-redis writes `undefined` (0x00) and byte arrays so.
      case 0xc7:
        return this.extension(this.uint(1))
      case 0xc8:
        return this.extension(this.uint(2))
      case 0xc9:
        return this.extension(this.uint(4))
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.extension(1 << (kind - 0xd4))
      default:
        throw new NotPacked('a kind that nobody writes')
    }
  }

  private extension(length: number): Unpacked {
    const kind = this.uint(1)
    const content = this.raw(length)
    return kind === 0 ? null : content
  }

  private raw(length: number): Buffer {
    return this.take(length)
  }

  private array(length: number, depth: number): Unpacked[] {
    const items: Unpacked[] = []
    for (let i = 0; i < length; i++) items.push(this.value(depth + 1))
    return items
  }

  private map(length: number, depth: number): Map<string, Unpacked> {
    const items = new Map<string, Unpacked>()
    for (let i = 0; i < length; i++) {
      const name = this.value(depth + 1)
      items.set(typeof name === 'number' ? String(name) : textOf(name), this.value(depth + 1))
    }
    return items
  }

  private uint(length: 1 | 2 | 4): number {
    return this.take(length).readUIntBE(0, length)
  }

  private take(length: number): Buffer {
    if (length > this.bytes.length - this.at) throw new NotPacked('ends too early')
    return this.bytes.subarray(this.at, (this.at += length))
  }
}
