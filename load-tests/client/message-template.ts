import { frameOverhead, maskAt, writeMaskedFrame } from './masked-frame.js'
import { publishPacket, type Version } from './packets.js'

/**
 * A payload begins with a stamp: number of the publisher, sequence number, time of sending (microseconds of the
 * monotonic clock, modulo 2^32), 32 bits each. The rest is filling.
 */
export const STAMP_BYTES = 12

export interface TemplateOptions {
  readonly version: Version
  readonly topic: string
  readonly qos: number
  readonly retain: boolean
  /** Length of the payload, at least `STAMP_BYTES`. */
  readonly payloadBytes: number
  readonly publisher: number
  /** Whether messages go out as masked WebSocket frames, one each, or bare. */
  readonly framed: boolean
}

/** A publisher's message, encoded (and masked) once: for each one sent only stamp and packet identifier change. */
export class MessageTemplate {
  readonly length: number
  private readonly bytes: Buffer
  /** Where stamp and packet identifier lie, and what masks their bytes. */
  private readonly stampAt: number
  private readonly stampMask: readonly number[]
  private readonly packetIdAt: number
  private readonly packetIdMask: readonly number[]

  constructor(options: TemplateOptions) {
    const { version, qos, payloadBytes, framed } = options
    const payload = Buffer.alloc(payloadBytes, 'x')
    payload.writeUInt32LE(options.publisher, 0)
    payload.writeUInt32LE(0, 4)
    payload.writeUInt32LE(0, 8)
    const packet = publishPacket({ ...options, packetId: 0, payload })
    const stampInPacket = packet.length - payloadBytes
    const packetIdInPacket = stampInPacket - (version === 5 ? 1 : 0) - 2
    const overhead = framed ? frameOverhead(packet.length) : 0
    this.length = packet.length + overhead
    this.bytes = framed ? Buffer.alloc(this.length) : packet
    if (framed) writeMaskedFrame(this.bytes, 0, packet)
    this.stampAt = overhead + stampInPacket + 4
    this.stampMask = masks(framed, stampInPacket + 4, 8)
    this.packetIdAt = qos > 0 ? overhead + packetIdInPacket : 0
    this.packetIdMask = masks(framed, packetIdInPacket, 2)
  }

  /** Writes one message at `offset`; there has to be room for `length` bytes. */
  write(target: Buffer, offset: number, packetId: number, sequence: number, micros: number): void {
    this.bytes.copy(target, offset)
    const { stampMask: mask } = this
    const at = offset + this.stampAt
    target[at] = sequence ^ (mask[0] ?? 0)
    target[at + 1] = (sequence >>> 8) ^ (mask[1] ?? 0)
    target[at + 2] = (sequence >>> 16) ^ (mask[2] ?? 0)
    target[at + 3] = (sequence >>> 24) ^ (mask[3] ?? 0)
    target[at + 4] = micros ^ (mask[4] ?? 0)
    target[at + 5] = (micros >>> 8) ^ (mask[5] ?? 0)
    target[at + 6] = (micros >>> 16) ^ (mask[6] ?? 0)
    target[at + 7] = (micros >>> 24) ^ (mask[7] ?? 0)
    if (this.packetIdAt > 0) {
      target[offset + this.packetIdAt] = (packetId >> 8) ^ (this.packetIdMask[0] ?? 0)
      target[offset + this.packetIdAt + 1] = packetId ^ (this.packetIdMask[1] ?? 0)
    }
  }
}

function masks(framed: boolean, from: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => (framed ? maskAt(from + index) : 0))
}

/** The three words of the stamp at `at`. */
export function readPublisher(bytes: Buffer, at: number): number {
  return readWord(bytes, at)
}

export function readSequence(bytes: Buffer, at: number): number {
  return readWord(bytes, at + 4)
}

export function readMicros(bytes: Buffer, at: number): number {
  return readWord(bytes, at + 8)
}

/** Three of these are read for every delivery; `readUInt32LE` would check its arguments each time. */
function readWord(bytes: Buffer, at: number): number {
  return (
    ((bytes[at] ?? 0) |
      ((bytes[at + 1] ?? 0) << 8) |
      ((bytes[at + 2] ?? 0) << 16) |
      ((bytes[at + 3] ?? 0) << 24)) >>>
    0
  )
}
