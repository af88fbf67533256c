/** Takes the payload bytes of data frames, in order; they are valid during the call only. */
export interface FrameSink {
  frameBytes(bytes: Buffer, start: number, end: number): void
  /** A ping, with its payload, or a close: what a client has to answer. */
  control(opcode: typeof PING | typeof CLOSE, payload: Buffer): void
}

export const CLOSE = 0x8
export const PING = 0x9
export const PONG = 0xa

/** A server's header: two bytes and up to eight of length; servers do not mask. */
const LONGEST_HEADER = 10

/** Cuts what a WebSocket server sends into the payloads of its frames. Copies nothing but broken headers. */
export class FrameReader {
  /** Payload bytes of the current frame that have not come yet. */
  private left = 0
  private opcode = 0
  private readonly header = Buffer.alloc(LONGEST_HEADER)
  private headerLength = 0
  private controlPayload: Buffer[] = []

  constructor(private readonly sink: FrameSink) {}

  push(bytes: Buffer, start: number, end: number): void {
    let at = start
    while (at < end) at = this.left > 0 ? this.readPayload(bytes, at, end) : this.readHeader(bytes, at, end)
  }

  private readPayload(bytes: Buffer, at: number, end: number): number {
    const stop = Math.min(end, at + this.left)
    this.left -= stop - at
    if (this.opcode < CLOSE) this.sink.frameBytes(bytes, at, stop)
    else this.takeControl(bytes, at, stop)
    return stop
  }

  /** Returns the offset behind the header; an incomplete one is kept for the next chunk. */
  private readHeader(bytes: Buffer, at: number, end: number): number {
    if (this.headerLength > 0) return this.completeHeader(bytes, at)
    const length = end - at > 1 ? headerLength(bytes[at + 1] ?? 0) : LONGEST_HEADER
    if (end - at < length) {
      bytes.copy(this.header, 0, at, end)
      this.headerLength = end - at
      return end
    }
    this.begin(bytes, at)
    return at + length
  }

  private completeHeader(bytes: Buffer, at: number): number {
    this.header[this.headerLength++] = bytes[at] ?? 0
    if (this.headerLength >= 2 && this.headerLength === headerLength(this.header[1] ?? 0)) {
      this.headerLength = 0
      this.begin(this.header, 0)
    }
    return at + 1
  }

  private begin(bytes: Buffer, at: number): void {
    this.opcode = (bytes[at] ?? 0) & 0x0f
    const short = (bytes[at + 1] ?? 0) & 0x7f
    if (short < 126) this.left = short
    else if (short === 126) this.left = bytes.readUInt16BE(at + 2)
    else this.left = Number(bytes.readBigUInt64BE(at + 2))
    if (this.left === 0 && this.opcode >= CLOSE) this.endControl()
  }

  private takeControl(bytes: Buffer, start: number, end: number): void {
    this.controlPayload.push(Buffer.from(bytes.subarray(start, end)))
    if (this.left === 0) this.endControl()
  }

  private endControl(): void {
    const payload = Buffer.concat(this.controlPayload)
    this.controlPayload = []
    if (this.opcode === PING || this.opcode === CLOSE) this.sink.control(this.opcode, payload)
  }
}

function headerLength(secondByte: number): number {
  const short = secondByte & 0x7f
  return short < 126 ? 2 : short === 126 ? 4 : 10
}
