/** Packets byte by byte: for what a codec refuses to make, and for looking at what came without one. */

/** Remaining Length and behind it the parts, after the given first byte. */
export function packetOf(firstByte: number, ...parts: readonly (Buffer | readonly number[])[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)))
  return Buffer.concat([Buffer.from([firstByte, ...variableByteInteger(body.length)]), body])
}

/** A UTF-8 string or binary data with its length in front. */
export function field(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content)
  return Buffer.concat([uint16(bytes.length), bytes])
}

/** Property Length and the properties. */
export function properties(...parts: readonly (Buffer | readonly number[])[]): Buffer {
  const block = Buffer.concat(parts.map((part) => Buffer.from(part)))
  return Buffer.concat([Buffer.from(variableByteInteger(block.length)), block])
}

export function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff])
}

export function variableByteInteger(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  do {
    const more = rest > 0x7f
    bytes.push((rest & 0x7f) | (more ? 0x80 : 0))
    rest >>= 7
  } while (rest > 0)
  return bytes
}

/** CONNECT of MQTT 5 with the flags and whatever follows the Keep Alive, properties included. */
export function connectOf(flags: number, ...rest: readonly (Buffer | readonly number[])[]): Buffer {
  return packetOf(0x10, field('MQTT'), [5, flags, 0, 0], ...rest)
}

/** The packets in a run of whole packets. */
export function cutPackets(bytes: Buffer): Buffer[] {
  const packets: Buffer[] = []
  let start = 0
  while (start < bytes.length) {
    let length = 0
    let at = start + 1
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? 0
      length |= (byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    packets.push(bytes.subarray(start, at + length))
    start = at + length
  }
  return packets
}
