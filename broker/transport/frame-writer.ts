/** Frames from a server are not masked (RFC 6455, 5.1), so that one may go to many clients. */

const FIN_BINARY = 0x82
const FIN_CLOSE = 0x88
const FIN_PONG = 0x8a

/** Bytes of the header of a frame with `length` bytes of payload. */
export function frameHeaderSize(length: number): number {
  if (length < 126) return 2
  return length < 0x1_0000 ? 4 : 10
}

/** Writes the header of a binary frame to the start of `target`. */
export function writeBinaryHeader(target: Buffer, length: number): void {
  target[0] = FIN_BINARY
  if (length < 126) {
    target[1] = length
  } else if (length < 0x1_0000) {
    target[1] = 126
    target.writeUInt16BE(length, 2)
  } else {
    target[1] = 127
    target.writeUInt32BE(Math.floor(length / 0x1_0000_0000), 2)
    target.writeUInt32BE(length >>> 0, 6)
  }
}

/** `payload` as it came with the ping: 125 bytes at most. */
export function pongFrame(payload: Buffer): Buffer {
  return Buffer.concat([Buffer.of(FIN_PONG, payload.length), payload])
}

/** `reason` is ASCII, 123 bytes at most. */
export function closeFrame(code: number, reason: string): Buffer {
  const frame = Buffer.allocUnsafe(4 + reason.length)
  frame[0] = FIN_CLOSE
  frame[1] = 2 + reason.length
  frame.writeUInt16BE(code, 2)
  frame.write(reason, 4, 'latin1')
  return frame
}
