/** Packet types of MQTT (2.1.2) that a client receives. */
export const CONNACK = 2
export const PUBLISH = 3
export const PUBACK = 4
export const PUBREC = 5
export const PUBREL = 6
export const PUBCOMP = 7
export const SUBACK = 9
export const DISCONNECT = 14

/** Takes packets as they lie in the read buffer: nothing is allocated for one, and it is valid during the call only. */
export interface PacketSink {
  /** `packetId`: 0 for QoS 0. */
  publish(bytes: Buffer, payload: number, end: number, qos: number, packetId: number): void
  /** PUBACK, PUBREC, PUBREL, PUBCOMP. `reason`: 0 where the packet has none. */
  acknowledgement(type: number, packetId: number, reason: number): void
  /** Everything else; `start`: behind the fixed header. */
  other(type: number, bytes: Buffer, start: number, end: number): void
}

/** Longest Remaining Length field (2.1.4) with the byte before it. */
const LONGEST_FIXED_HEADER = 5

/**
 * Cuts bytes into MQTT packets and reads as much of them as a load test needs. It trusts the broker: what is wrong
 * in a packet is for the conformance tests.
 */
export class PacketReader {
  /** The beginning of a packet whose end has not come yet. */
  private carry: Buffer = Buffer.alloc(0)
  private carried = 0

  constructor(
    private readonly sink: PacketSink,
    private readonly version: 4 | 5,
  ) {}

  push(bytes: Buffer, start: number, end: number): void {
    if (this.carried > 0) {
      this.keep(bytes, start, end)
      const stop = this.cut(this.carry, 0, this.carried)
      this.carry.copyWithin(0, stop, this.carried)
      this.carried -= stop
    } else {
      const stop = this.cut(bytes, start, end)
      if (stop < end) this.keep(bytes, stop, end)
    }
  }

  /** Hands over the whole packets between `start` and `end`; returns where the first incomplete one begins. */
  private cut(bytes: Buffer, start: number, end: number): number {
    let at = start
    while (end - at >= 2) {
      let length = bytes[at + 1] ?? 0
      let body = at + 2
      if (length > 127) {
        length &= 0x7f
        let shift = 7
        let byte = 0x80
        while (byte > 127 && body < end && body - at < LONGEST_FIXED_HEADER) {
          byte = bytes[body++] ?? 0
          length += (byte & 0x7f) << shift
          shift += 7
        }
        if (byte > 127) return at
      }
      const next = body + length
      if (next > end) return at
      this.take(bytes[at] ?? 0, bytes, body, next)
      at = next
    }
    return at
  }

  private take(first: number, bytes: Buffer, start: number, end: number): void {
    const type = first >> 4
    if (type === PUBLISH) {
      const qos = (first >> 1) & 3
      let at = start + 2 + (((bytes[start] ?? 0) << 8) | (bytes[start + 1] ?? 0))
      let packetId = 0
      if (qos > 0) {
        packetId = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
        at += 2
      }
      if (this.version === 5) at = behindProperties(bytes, at)
      this.sink.publish(bytes, at, end, qos, packetId)
    } else if (type >= PUBACK && type <= PUBCOMP) {
      const packetId = ((bytes[start] ?? 0) << 8) | (bytes[start + 1] ?? 0)
      this.sink.acknowledgement(type, packetId, end - start > 2 ? (bytes[start + 2] ?? 0) : 0)
    } else {
      this.sink.other(type, bytes, start, end)
    }
  }

  private keep(bytes: Buffer, start: number, end: number): void {
    const needed = this.carried + end - start
    if (this.carry.length < needed) {
      const larger = Buffer.allocUnsafeSlow(Math.max(1_024, needed * 2))
      this.carry.copy(larger, 0, 0, this.carried)
      this.carry = larger
    }
    bytes.copy(this.carry, this.carried, start, end)
    this.carried = needed
  }
}

/** Property Length is a Variable Byte Integer (MQTT 5, 2.2.2.1). */
function behindProperties(bytes: Buffer, at: number): number {
  let length = 0
  let shift = 0
  let position = at
  for (;;) {
    const byte = bytes[position++] ?? 0
    length += (byte & 0x7f) << shift
    if (byte < 128) return position + length
    shift += 7
  }
}
