import { isUtf8 } from 'node:buffer'
import { rotateKey, unmask } from './unmask.js'

/** Why no frame is read any more. `code` is what the closing handshake answers with (RFC 6455, 7.4.1). */
export type FrameEnd =
  | { readonly kind: 'closed'; readonly code: number }
  | { readonly kind: 'violation'; readonly code: 1002 | 1003 | 1009; readonly detail: string }

/**
 * Reads the WebSocket frames of a client (RFC 6455, 5) and hands on the payload bytes as they come.
 *
 * Frames and messages mean nothing to MQTT: a packet may be cut anywhere and a frame may hold many
 * [MQTT-6.0.0-2]. So nothing is ever assembled, and the length of a message needs no bound: what is kept between
 * two reads is a cut header (13 bytes at most) or control payload (125 bytes at most).
 */
export class FrameReader {
  /** Payload of the latest ping that has not been answered; the owner takes it. One answer is enough (5.5.3). */
  ping: Buffer | undefined = undefined
  /** Set once there is nothing more to read. */
  end: FrameEnd | undefined = undefined
  /** Where the payload of the last read lies in its chunk; nothing came where they are equal. */
  payloadStart = 0
  payloadEnd = 0

  private cutHeader: Buffer | undefined = undefined
  private inFrame = false
  private opcode = 0
  /** Payload bytes of the frame that are still to come. */
  private remaining = 0
  /** Masking key of the next payload byte and the three after it, first byte lowest. */
  private key = 0
  private inMessage = false
  private control: Buffer = EMPTY

  /**
   * Reads the first `size` bytes of `chunk`. The binary payload of all frames in it is unmasked in place and moved
   * together: it lies between `payloadStart` and `payloadEnd` then. (No views: one takes 60 ns, and a message on its
   * way in needed three.) Never throws.
   */
  read(chunk: Buffer, size: number): void {
    let at = 0
    let start = -1
    let stop = 0
    // Not `at < size`: a frame without payload ends right behind its header.
    while (this.inFrame || at < size) {
      if (!this.inFrame) {
        at = this.readHeader(chunk, at, size)
        if (at < 0) break
      }
      const count = Math.min(this.remaining, size - at)
      if (this.opcode > OPCODE_LAST_DATA) {
        unmask(chunk, at, at, count, this.key)
        this.control = append(this.control, chunk.subarray(at, at + count))
      } else if (count > 0) {
        // The first payload stays where it is; the following ones move up to it.
        if (start < 0) start = stop = at
        unmask(chunk, stop, at, count, this.key)
        stop += count
      }
      at += count
      this.remaining -= count
      if (this.remaining > 0) {
        this.key = rotateKey(this.key, count)
        break
      }
      this.inFrame = false
      if (this.opcode > OPCODE_LAST_DATA && this.finishControl()) break
    }
    this.payloadStart = start
    this.payloadEnd = start < 0 ? start : stop
  }

  /** Opens the frame whose header stands at `at`; returns where its payload begins, or -1: no frame is open. */
  private readHeader(chunk: Buffer, at: number, end: number): number {
    if (this.cutHeader === undefined) {
      const size = headerSize(chunk, at, end)
      if (size > 0 && at + size <= end) {
        return this.openFrame(chunk, at, size) ? at + size : -1
      }
      this.cutHeader = Buffer.from(chunk.subarray(at, end))
      return -1
    }
    const had = this.cutHeader.length
    const header = Buffer.concat([this.cutHeader, chunk.subarray(at, Math.min(at + MAX_HEADER - had, end))])
    const size = headerSize(header, 0, header.length)
    if (size === 0 || size > header.length) {
      this.cutHeader = header
      return -1
    }
    this.cutHeader = undefined
    return this.openFrame(header, 0, size) ? at + size - had : -1
  }

  /** Returns whether the header is as it has to be. */
  private openFrame(buffer: Buffer, at: number, size: number): boolean {
    const first = buffer[at] as number
    const second = buffer[at + 1] as number
    this.end = headerFault(first, second, this.inMessage)
    if (this.end !== undefined) return false
    const opcode = first & 0x0f
    if (opcode <= OPCODE_LAST_DATA) this.inMessage = (first & FIN) === 0

    let length = second & 0x7f
    if (length === LENGTH_16) length = buffer.readUInt16BE(at + 2)
    else if (length === LENGTH_64) {
      const high = buffer.readUInt32BE(at + 2)
      if (high > MAX_SAFE_HIGH) {
        this.end = violation(high > 0x7fff_ffff ? 1002 : 1009, 'a frame above 2^53 bytes')
        return false
      }
      length = high * 0x1_0000_0000 + buffer.readUInt32BE(at + 6)
    }
    this.opcode = opcode
    this.remaining = length
    this.key = buffer.readInt32LE(at + size - 4)
    this.inFrame = true
    return true
  }

  /** Returns whether it was the last frame. */
  private finishControl(): boolean {
    const payload = this.control
    this.control = EMPTY
    if (this.opcode === OPCODE_PING) this.ping = payload
    else if (this.opcode === OPCODE_CLOSE) this.end = readClose(payload)
    return this.end !== undefined
  }
}

const EMPTY = Buffer.alloc(0)
const FIN = 0x80
const RESERVED_BITS = 0x70
const MASKED = 0x80
const OPCODE_CONTINUATION = 0x0
const OPCODE_TEXT = 0x1
const OPCODE_BINARY = 0x2
const OPCODE_LAST_DATA = 0x7
const OPCODE_CLOSE = 0x8
const OPCODE_PING = 0x9
const OPCODE_PONG = 0xa
const LENGTH_16 = 126
const LENGTH_64 = 127
const MAX_CONTROL = 125
/** Upper half of 2^53 - 1. */
const MAX_SAFE_HIGH = 0x1f_ffff
/** Two bytes, a length of eight, a key of four. */
const MAX_HEADER = 14

/** Bytes of the header at `at`; 0 when even its length field has not arrived. */
function headerSize(buffer: Buffer, at: number, end: number): number {
  if (end - at < 2) return 0
  const second = buffer[at + 1] as number
  const key = (second & MASKED) === 0 ? 0 : 4
  const lengthField = second & 0x7f
  if (lengthField === LENGTH_16) return 4 + key
  return (lengthField === LENGTH_64 ? 10 : 2) + key
}

/** What is wrong with the first two bytes of a frame from a client. */
function headerFault(first: number, second: number, inMessage: boolean): FrameEnd | undefined {
  if ((first & RESERVED_BITS) !== 0) return violation(1002, 'reserved bits are set')
  if ((second & MASKED) === 0) return violation(1002, 'a client has to mask its frames')
  switch (first & 0x0f) {
    case OPCODE_CONTINUATION:
      return inMessage ? undefined : violation(1002, 'a continuation frame without a message')
    case OPCODE_BINARY:
      return inMessage ? violation(1002, 'a new message inside a fragmented one') : undefined
    case OPCODE_TEXT: // [MQTT-6.0.0-1]
      return violation(1003, 'MQTT travels in binary frames')
    case OPCODE_CLOSE:
    case OPCODE_PING:
    case OPCODE_PONG:
      if ((first & FIN) === 0) return violation(1002, 'a fragmented control frame')
      return (second & 0x7f) > MAX_CONTROL ? violation(1002, 'a control frame above 125 bytes') : undefined
    default:
      return violation(1002, 'an opcode that is not defined')
  }
}

/** RFC 6455, 5.5.1 */
function readClose(payload: Buffer): FrameEnd {
  if (payload.length === 0) return { kind: 'closed', code: 1000 }
  if (payload.length === 1) return violation(1002, 'a close code of one byte')
  const code = payload.readUInt16BE(0)
  if (!isCloseCode(code)) return violation(1002, 'a close code that may not be sent')
  if (!isUtf8(payload.subarray(2))) return violation(1002, 'a close reason that is not UTF-8')
  return { kind: 'closed', code }
}

function violation(code: 1002 | 1003 | 1009, detail: string): FrameEnd {
  return { kind: 'violation', code, detail }
}

/** Codes that may appear in a close frame (RFC 6455, 7.4; 1012 to 1014 from the registry). */
function isCloseCode(code: number): boolean {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999)
}

/** A copy: `part` is a view of a buffer that belongs to somebody else. */
function append(kept: Buffer, part: Buffer): Buffer {
  return part.length === 0 ? kept : Buffer.concat([kept, part])
}
