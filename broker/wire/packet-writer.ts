const SMALLEST = 512
/** Room above which the memory is given back after a packet: few packets but CONNACK and DISCONNECT are built here. */
const LARGEST_KEPT = 65_536

/** The longest string or binary field (MQTT 5, 1.5.4, 1.5.6). */
export const MAX_FIELD_BYTES = 65_535

/**
 * Builds one packet, or one property block, at a time in memory of its own; `packet` gives a copy of the exact
 * size. What it is given has been validated; a string or binary field of more than 65,535 bytes throws a
 * RangeError.
 */
export class PacketWriter {
  private bytes = Buffer.allocUnsafeSlow(SMALLEST)
  private position = 0

  get length(): number {
    return this.position
  }

  begin(): this {
    this.position = 0
    if (this.bytes.length > LARGEST_KEPT) this.bytes = Buffer.allocUnsafeSlow(SMALLEST)
    return this
  }

  uint8(value: number): void {
    this.reserve(1)
    this.bytes[this.position++] = value
  }

  uint16(value: number): void {
    this.reserve(2)
    this.position = this.bytes.writeUInt16BE(value, this.position)
  }

  uint32(value: number): void {
    this.reserve(4)
    this.position = this.bytes.writeUInt32BE(value, this.position)
  }

  /** 0 to 268,435,455. */
  variableByteInteger(value: number): void {
    this.reserve(4)
    this.position = writeVariableByteInteger(this.bytes, value, this.position)
  }

  string(text: string): void {
    const length = fieldLength(Buffer.byteLength(text))
    this.uint16(length)
    this.reserve(length)
    this.position += this.bytes.write(text, this.position)
  }

  binary(data: Buffer): void {
    this.uint16(fieldLength(data.length))
    this.raw(data)
  }

  raw(data: Uint8Array): void {
    this.reserve(data.length)
    this.bytes.set(data, this.position)
    this.position += data.length
  }

  /** What has been written, behind its length: a property block [MQTT-2.2.2-1]. */
  appendTo(writer: PacketWriter): void {
    writer.variableByteInteger(this.position)
    writer.raw(this.bytes.subarray(0, this.position))
  }

  /** A copy of what has been written. */
  copy(): Buffer {
    return Buffer.from(this.bytes.subarray(0, this.position))
  }

  /** The packet whose fields have been written, behind its fixed header. */
  packet(first: number): Buffer {
    const header = 1 + variableByteIntegerSize(this.position)
    const packet = Buffer.allocUnsafe(header + this.position)
    packet[0] = first
    writeVariableByteInteger(packet, this.position, 1)
    packet.set(this.bytes.subarray(0, this.position), header)
    return packet
  }

  private reserve(count: number): void {
    const needed = this.position + count
    if (needed <= this.bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2))
    this.bytes.copy(grown, 0, 0, this.position)
    this.bytes = grown
  }
}

/** Bytes that a variable byte integer takes, 1 to 4. */
export function variableByteIntegerSize(value: number): number {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  return value < 0x20_0000 ? 3 : 4
}

/** Writes the shortest form [MQTT-1.5.5-1]; returns the position behind it. */
export function writeVariableByteInteger(bytes: Buffer, value: number, position: number): number {
  let rest = value
  while (rest >= 0x80) {
    bytes[position++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[position++] = rest
  return position
}

/** Checks the length of a string or binary field. */
export function fieldLength(bytes: number): number {
  if (bytes > MAX_FIELD_BYTES) throw new RangeError('a field of a packet is longer than 65,535 bytes')
  return bytes
}
