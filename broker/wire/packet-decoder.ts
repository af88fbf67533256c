import { byteAt } from './byte-at.js'
import { connectOpening, decodeConnect } from './decode-connect.js'
import { decodePacket } from './decode-packet.js'
import { afterConnect, beforeConnect, PacketType, type FirstByteRules } from './fixed-header.js'
import { KeptBytes } from './kept-bytes.js'
import type { PacketHandler, ProtocolVersion } from './packet.js'
import { PacketReader } from './packet-reader.js'
import { PublishLane } from './publish-lane.js'
import { violationOf, wireRules, type WireRule } from './wire-rules.js'

export interface DecoderLimits {
  /** Bytes of a whole packet, fixed header included; 1 to 268,435,460. */
  readonly maxPacketSize: number
  /** Topic aliases that a client may set, 0 to 65,535: the Topic Alias Maximum of CONNACK. */
  readonly topicAliasMaximum: number
}

const CONNECT = PacketType.Connect << 4

/** One for all connections: a packet is read to its end before the handler is called. */
const reader = new PacketReader()

/**
 * Cuts the bytes of one connection into packets of MQTT 3.1, 3.1.1 or 5, as its CONNECT says, and hands them to
 * the handler synchronously and in order. The result does not depend on how the bytes are cut.
 *
 * What breaks a rule is refused at the first byte that shows it: type, flags, length and size with the fixed
 * header, protocol name and version as they come in, the rest when the packet is whole. So at most
 * `maxPacketSize` bytes are kept for a packet, and never more than have come.
 *
 * The handler may call `stop`, `pause` and `resume`, and may cause another `push`. What it throws is a defect:
 * it ends the decoder and goes on to the caller of `push`.
 */
export class PacketDecoder {
  private firstBytes: FirstByteRules = beforeConnect
  private version: ProtocolVersion = 5
  /** `version` of violations: undefined until CONNECT has said which. */
  private answerIn: ProtocolVersion | undefined = undefined
  private readonly lane: PublishLane

  private readonly kept = new KeptBytes()
  /** Bytes that the packet begun in `kept` lacks at least. */
  private missing = 0
  /** Bytes pushed while the handler was at work: behind everything else. */
  private readonly overtaken = new KeptBytes()

  private decoding = false
  private paused = false
  private stopped = false

  constructor(
    private readonly limits: DecoderLimits,
    private readonly handler: PacketHandler,
  ) {
    this.lane = new PublishLane(handler, limits.topicAliasMaximum)
  }

  /**
   * Takes what lies between `start` and `end`, cut anywhere. The bytes are not referred to after the tick, other than
   * by payload views.
   */
  push(bytes: Buffer, start = 0, end = bytes.length): void {
    if (this.stopped) return
    if (this.decoding) {
      this.overtaken.append(bytes, start, end)
      return
    }
    let position = this.kept.length === 0 ? start : this.completeKept(bytes, start, end)
    if (!this.halted) position = this.decode(bytes, position, end)
    if (position < end) this.keep(bytes, position, end)
    this.takeOvertaken()
  }

  /**
   * Decodes nothing after the current packet until `resume`. Bytes pushed meanwhile are kept: pause the transport
   * too, so that they are no more than what it had read already.
   */
  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    if (this.decoding || this.stopped) return
    this.decodeKept()
    this.takeOvertaken()
  }

  /** The connection is closing: nothing more is decoded, and nothing kept. */
  stop(): void {
    this.stopped = true
    this.kept.clear()
    this.overtaken.clear()
  }

  /** Bytes kept for a packet that is not whole, or because of a pause. */
  get keptBytes(): number {
    return this.kept.length + this.overtaken.length
  }

  private get halted(): boolean {
    return this.paused || this.stopped
  }

  private keep(bytes: Buffer, start: number, end: number): void {
    if (!this.stopped) this.kept.append(bytes, start, end)
  }

  /**
   * Completes the packet begun in `kept`, byte for byte as far as its header tells, and decodes it from there;
   * what follows can then be decoded in place. Returns the position of the first byte that was not taken.
   */
  private completeKept(bytes: Buffer, start: number, end: number): number {
    let position = start
    while (position < end && this.kept.length > 0 && !this.halted) {
      const count = Math.min(this.missing, end - position)
      this.kept.append(bytes, position, position + count)
      this.missing -= count
      position += count
      if (this.missing === 0) this.decodeKept()
    }
    return position
  }

  private decodeKept(): void {
    const { bytes, start, end } = this.kept
    if (start === end) return
    const position = this.decode(bytes, start, end)
    if (!this.stopped) this.kept.consume(position - start)
  }

  private takeOvertaken(): void {
    if (this.overtaken.length === 0) return
    const bytes = this.overtaken.bytes.subarray(this.overtaken.start, this.overtaken.end)
    this.overtaken.clear()
    this.push(bytes)
  }

  /** Decodes whole packets; returns the position of the first byte that does not belong to one of them. */
  private decode(bytes: Buffer, start: number, end: number): number {
    this.decoding = true
    try {
      return this.cut(bytes, start, end)
    } catch (error) {
      this.stop()
      throw error
    } finally {
      this.decoding = false
    }
  }

  private cut(bytes: Buffer, start: number, end: number): number {
    let position = start
    while (position < end && !this.halted) {
      const first = byteAt(bytes, position)
      const broken = this.firstBytes[first]
      if (broken !== undefined) return this.refuse(broken)

      // Remaining Length (MQTT 5, 2.1.4): nearly always one byte or two.
      let fields = position + 1
      let length = 0
      let last = 0x80
      for (let shift = 0; last >= 0x80; shift += 7) {
        if (shift === 28) return this.refuse(wireRules.integerTooLong)
        if (fields === end) return this.lack(1, position)
        last = byteAt(bytes, fields++)
        length |= (last & 0x7f) << shift
      }
      // 3.1.1 does not ask for the shortest form; some small clients reserve bytes for the length.
      const padded = last === 0 && fields > position + 2
      if (padded && this.answerIn === 5) return this.refuse(wireRules.integerPadded)
      const next = fields + length
      if (next - position > this.limits.maxPacketSize) return this.refuse(wireRules.packetTooLarge)

      if (first === CONNECT) {
        const opening = connectOpening(bytes, fields, Math.min(next, end))
        this.answerIn = opening.version
        if (opening.fault !== undefined) return this.refuse(opening.fault)
        if (opening.version === undefined) {
          return next > end ? this.lack(1, position) : this.refuse(wireRules.truncated)
        }
        this.version = this.lane.version = opening.version
        if (padded && opening.version === 5) return this.refuse(wireRules.integerPadded)
        fields += opening.length
      }
      if (next > end) return this.lack(next - end, position)

      let fault: WireRule | undefined
      if (first >> 4 === PacketType.Publish) {
        fault = this.lane.decode(bytes, first, fields, next, next - position)
      } else if (first === CONNECT) fault = this.takeConnect(bytes, fields, next)
      else fault = this.takeOther(first >> 4, bytes, fields, next)
      if (fault !== undefined) return this.refuse(fault)
      position = next
    }
    return position
  }

  private takeConnect(bytes: Buffer, start: number, end: number): WireRule | undefined {
    reader.open(bytes, start, end)
    const packet = decodeConnect(reader, this.version)
    if (reader.fault !== undefined) return reader.fault
    this.firstBytes = afterConnect[this.version]
    this.handler.packet(packet)
    return undefined
  }

  private takeOther(type: number, bytes: Buffer, start: number, end: number): WireRule | undefined {
    reader.open(bytes, start, end)
    const packet = decodePacket(reader, type, this.version)
    if (reader.fault !== undefined) return reader.fault
    this.handler.packet(packet)
    return undefined
  }

  /** The packet at `position` is not whole. */
  private lack(count: number, position: number): number {
    this.missing = count
    return position
  }

  private refuse(rule: WireRule): number {
    this.stop()
    this.handler.violation(violationOf(rule, this.answerIn))
    return 0
  }
}
