/**
 * Frames from a client have to be masked (RFC 6455, 5.3). The key is fixed: a broker does the same work for any
 * key but 0, and bytes that do not change between messages are masked once.
 */
const KEY = [0x37, 0xfa, 0x21, 0x3d] as const

const FIN_BINARY = 0x82
const MASKED = 0x80

/** Bytes that a frame takes around a payload. */
export function frameOverhead(payloadLength: number): number {
  return (payloadLength < 126 ? 2 : payloadLength < 65_536 ? 4 : 10) + KEY.length
}

/** Writes a frame of one message at `offset` of `target`; returns the offset behind it. */
export function writeMaskedFrame(
  target: Buffer,
  offset: number,
  payload: Uint8Array,
  opcode = FIN_BINARY,
): number {
  const { length } = payload
  let at = offset
  target[at++] = opcode
  if (length < 126) {
    target[at++] = MASKED | length
  } else if (length < 65_536) {
    target[at++] = MASKED | 126
    at = target.writeUInt16BE(length, at)
  } else {
    target[at++] = MASKED | 127
    at = target.writeBigUInt64BE(BigInt(length), at)
  }
  for (const byte of KEY) target[at++] = byte
  for (let index = 0; index < length; index++) target[at++] = (payload[index] ?? 0) ^ maskAt(index)
  return at
}

/** The byte of the key that masks payload byte `index`. */
export function maskAt(index: number): number {
  return KEY[(index & 3) as 0 | 1 | 2 | 3]
}
