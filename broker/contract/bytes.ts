import { crc32 } from 'node:zlib'

const CHECKSUM_BYTES = 4
const SMALLEST = 4_096
/** What a writer keeps between two values at most, bytes: one message of 256 MiB must not keep as much for ever. */
const LARGEST_KEPT = 1_048_576
/** Units of UTF-16 that take no more than 127 bytes of UTF-8, whichever they are. */
const SHORT_TEXT = 42

/**
 * Writes values that leave this process, one at a time: version byte, fields, CRC-32 of both. Numbers and lengths have
 * seven bits a byte, lowest first. One buffer that grows serves all values; `finish` copies the value out of it.
 */
export abstract class ByteWriter {
  protected buffer = Buffer.allocUnsafeSlow(SMALLEST)
  protected at = 0

  /** `version`: of the layout, 0 to 255. A reader refuses any other one. */
  constructor(private readonly version: number) {}

  start(): this {
    this.at = 0
    this.shrink()
    return this.byte(this.version)
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

  /** Milliseconds since the epoch. */
  time(value: number): this {
    return this.number(value)
  }

  bytes(value: Buffer): this {
    return this.number(value.length).raw(value)
  }

  text(value: string): this {
    const { length } = value
    if (length > SHORT_TEXT) {
      const size = Buffer.byteLength(value)
      this.number(size).reserve(size)
      this.at += this.buffer.write(value, this.at)
      return this
    }
    // Nearly all texts are short: room for three bytes a unit, and one byte for the length of what it takes.
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

  /** The value, in memory of its own. */
  finish(): Buffer {
    const value = Buffer.allocUnsafe(this.at + CHECKSUM_BYTES)
    this.buffer.copy(value, 0, 0, this.at)
    value.writeUInt32LE(crc32(this.buffer.subarray(0, this.at)), this.at)
    this.shrink()
    return value
  }

  protected reserve(count: number): void {
    if (this.at + count <= this.buffer.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(this.at + count, this.buffer.length * 2))
    this.buffer.copy(grown, 0, 0, this.at)
    this.buffer = grown
  }

  private shrink(): void {
    if (this.buffer.length > LARGEST_KEPT) this.buffer = Buffer.allocUnsafeSlow(SMALLEST)
  }
}

/** Reads what a `ByteWriter` wrote. Throws what `damaged` makes, and nothing else, for any other bytes. */
export abstract class ByteReader {
  private at = 1
  private readonly end: number

  /** `verify`: whether the checksum is compared; left out where only the first fields are needed. */
  constructor(
    protected readonly value: Buffer,
    version: number,
    verify = true,
  ) {
    this.end = value.length - CHECKSUM_BYTES
    if (this.end < 1) throw this.damaged('shorter than it can be')
    if (value[0] !== version) throw this.damaged('of another version')
    if (verify && crc32(value.subarray(0, this.end)) !== value.readUInt32LE(this.end))
      throw this.damaged('the checksum differs')
  }

  /** What is thrown for bytes that no writer wrote. */
  abstract damaged(how: string): Error

  /** Whether everything has been read. */
  get done(): boolean {
    return this.at === this.end
  }

  byte(): number {
    if (this.at >= this.end) throw this.damaged('ends too early')
    return this.value[this.at++] ?? 0
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
    throw this.damaged('a number is too large')
  }

  time(): number {
    return this.number()
  }

  /** A view of the value. */
  bytes(): Buffer {
    const length = this.number()
    const start = this.skip(length)
    return this.value.subarray(start, start + length)
  }

  text(): string {
    const length = this.number()
    const start = this.skip(length)
    return this.value.toString('utf8', start, start + length)
  }

  /** Passes over so many bytes, and says where they begin. */
  protected skip(length: number): number {
    if (length > this.end - this.at) throw this.damaged('ends too early')
    const start = this.at
    this.at += length
    return start
  }
}
