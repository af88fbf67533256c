import { crc32 } from 'node:zlib'

/** A value that cannot be read back. */
export class DamagedValue extends Error {
  override readonly name = 'DamagedValue'
}

/**
 * Version of all values. A reader refuses any other one; a change of a layout below raises it, and with it
 * `FORMAT_VERSION` of the store.
 */
const VALUE_VERSION = 1
const CHECKSUM_BYTES = 4

/**
 * Writes one value: version byte, fields, CRC-32 of both. LevelDB does not verify its own checksums when it
 * reads, so a flipped bit is found here or nowhere.
 *
 * One buffer that grows serves all values of a store; `finish` copies the value out of it.
 */
export class ValueWriter {
  private buffer = Buffer.allocUnsafeSlow(4_096)
  private at = 0

  start(): this {
    this.at = 0
    return this.byte(VALUE_VERSION)
  }

  byte(value: number): this {
    this.reserve(1)
    this.buffer[this.at++] = value
    return this
  }

  /** Unsigned, up to 2^53 - 1, seven bits a byte, lowest first. */
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

  bytes(value: Buffer): this {
    this.number(value.length)
    this.reserve(value.length)
    value.copy(this.buffer, this.at)
    this.at += value.length
    return this
  }

  text(value: string): this {
    const length = Buffer.byteLength(value)
    this.number(length)
    this.reserve(length)
    this.at += this.buffer.write(value, this.at)
    return this
  }

  finish(): Buffer {
    this.reserve(CHECKSUM_BYTES)
    this.buffer.writeUInt32LE(crc32(this.buffer.subarray(0, this.at)), this.at)
    const value = Buffer.allocUnsafe(this.at + CHECKSUM_BYTES)
    this.buffer.copy(value, 0, 0, value.length)
    // One message of 256 MiB must not keep as much for ever.
    if (this.buffer.length > LARGEST_KEPT) this.buffer = Buffer.allocUnsafeSlow(4_096)
    return value
  }

  private reserve(count: number): void {
    if (this.at + count <= this.buffer.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(this.at + count, this.buffer.length * 2))
    this.buffer.copy(grown, 0, 0, this.at)
    this.buffer = grown
  }
}

const LARGEST_KEPT = 1_048_576

/** Reads what `ValueWriter` wrote. Throws `DamagedValue`, and nothing else, for any other bytes. */
export class ValueReader {
  private at = 1
  private readonly end: number

  /** `verify`: whether the checksum is compared; left out where only the first fields are needed. */
  constructor(
    private readonly value: Buffer,
    verify = true,
  ) {
    this.end = value.length - CHECKSUM_BYTES
    if (this.end < 1) throw new DamagedValue('shorter than a value can be')
    if (value[0] !== VALUE_VERSION) throw new DamagedValue('of an unknown version')
    if (verify && crc32(value.subarray(0, this.end)) !== value.readUInt32LE(this.end))
      throw new DamagedValue('the checksum differs')
  }

  byte(): number {
    if (this.at >= this.end) throw new DamagedValue('ends too early')
    return this.value[this.at++] ?? 0
  }

  number(): number {
    let result = 0
    for (let factor = 1; factor <= 2 ** 49; factor *= 0x80) {
      const byte = this.byte()
      result += (byte & 0x7f) * factor
      if (byte < 0x80 && Number.isSafeInteger(result)) return result
    }
    throw new DamagedValue('a number is too large')
  }

  /** A view of the value. */
  bytes(): Buffer {
    const length = this.number()
    if (length > this.end - this.at) throw new DamagedValue('ends too early')
    return this.value.subarray(this.at, (this.at += length))
  }

  text(): string {
    return this.bytes().toString()
  }

  /** Nothing may follow. */
  finish(): void {
    if (this.at !== this.end) throw new DamagedValue('is longer than its content')
  }
}
