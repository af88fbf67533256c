import { crc32 } from 'node:zlib'

/** An entry that cannot be read. */
export class DamagedEntry extends Error {
  override readonly name = 'DamagedEntry'
}

/** Version of all entries; a reader refuses any other one. A change of a layout raises it. */
const VERSION = 1
const CHECKSUM_BYTES = 4
const SMALLEST = 4_096
/** What a writer keeps for its next entry at most. */
const LARGEST_KEPT = 1_048_576

/**
 * Writes entries, one at a time: version byte, fields, CRC-32 of both. One buffer that grows serves all of them;
 * `finish` copies the entry out of it. Numbers and lengths have seven bits a byte, lowest first.
 */
export class EntryWriter {
  private buffer = Buffer.allocUnsafeSlow(SMALLEST)
  private at = 0

  start(): this {
    this.at = 0
    if (this.buffer.length > LARGEST_KEPT) this.buffer = Buffer.allocUnsafeSlow(SMALLEST)
    return this.byte(VERSION)
  }

  /** Bytes written since `start`. */
  get length(): number {
    return this.at
  }

  byte(value: number): this {
    this.reserve(1)
    this.buffer[this.at++] = value
    return this
  }

  /** 0 to 2^53 - 1. */
  number(value: number): this {
    this.reserve(8)
    let rest = value
    while (rest >= 0x80) {
      this.buffer[this.at++] = (rest % 0x80) | 0x80
      rest = rest < 0x8000_0000 ? rest >>> 7 : Math.floor(rest / 0x80)
    }
    this.buffer[this.at++] = rest
    return this
  }

  /** Milliseconds since the epoch, 0 to 2^48 - 1: in six bytes, which is quicker than seven bits at a time. */
  time(value: number): this {
    this.reserve(6)
    this.at = this.buffer.writeUIntLE(value, this.at, 6)
    return this
  }

  bytes(value: Buffer): this {
    return this.number(value.length).raw(value)
  }

  text(value: string): this {
    const { length } = value
    // Nearly all texts are short: room for three bytes a unit, and one byte for the length of what it takes.
    if (length > SHORT_TEXT) return this.bytes(Buffer.from(value))
    this.reserve(1 + length * 3)
    const written = this.buffer.write(value, this.at + 1)
    this.buffer[this.at] = written
    this.at += 1 + written
    return this
  }

  /** Bytes without their length. */
  raw(value: Buffer): this {
    this.reserve(value.length)
    value.copy(this.buffer, this.at)
    this.at += value.length
    return this
  }

  /** What was written from the version byte on; a view, valid until the next call. */
  fields(): Buffer {
    return this.buffer.subarray(1, this.at)
  }

  /** The entry, in memory of its own. */
  finish(): Buffer {
    const entry = Buffer.allocUnsafe(this.at + CHECKSUM_BYTES)
    this.buffer.copy(entry, 0, 0, this.at)
    entry.writeUInt32LE(crc32(this.buffer.subarray(0, this.at)), this.at)
    return entry
  }

  private reserve(count: number): void {
    if (this.at + count <= this.buffer.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(this.at + count, this.buffer.length * 2))
    this.buffer.copy(grown, 0, 0, this.at)
    this.buffer = grown
  }
}

/** Units of UTF-16 that take no more than 127 bytes of UTF-8, whichever they are. */
const SHORT_TEXT = 42

/** Reads what `EntryWriter` wrote. Throws `DamagedEntry`, and nothing else, for any other bytes. */
export class EntryReader {
  private at = 1
  private readonly end: number

  constructor(private readonly entry: Buffer) {
    this.end = entry.length - CHECKSUM_BYTES
    if (this.end < 1) throw new DamagedEntry('shorter than an entry can be')
    if (entry[0] !== VERSION) throw new DamagedEntry('of another version')
    if (crc32(entry.subarray(0, this.end)) !== entry.readUInt32LE(this.end))
      throw new DamagedEntry('the checksum differs')
  }

  /** Whether everything has been read. */
  get done(): boolean {
    return this.at === this.end
  }

  byte(): number {
    if (this.at >= this.end) throw new DamagedEntry('ends too early')
    return this.entry[this.at++] ?? 0
  }

  number(): number {
    const first = this.byte()
    if (first < 0x80) return first
    let result = first & 0x7f
    for (let factor = 0x80; factor <= 2 ** 49; factor *= 0x80) {
      const byte = this.byte()
      result += (byte & 0x7f) * factor
      if (byte < 0x80 && Number.isSafeInteger(result)) return result
    }
    throw new DamagedEntry('a number is too large')
  }

  time(): number {
    return this.entry.readUIntLE(this.skip(6), 6)
  }

  /** A view of the entry. */
  bytes(): Buffer {
    const length = this.number()
    const start = this.skip(length)
    return this.entry.subarray(start, start + length)
  }

  text(): string {
    const length = this.number()
    const start = this.skip(length)
    return this.entry.toString('utf8', start, start + length)
  }

  private skip(length: number): number {
    if (length > this.end - this.at) throw new DamagedEntry('ends too early')
    const start = this.at
    this.at += length
    return start
  }
}
