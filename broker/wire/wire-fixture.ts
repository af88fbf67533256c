import type { PublishProperties, QoS } from '../contract/message.js'
import type { InboundPacket, PacketHandler, ProtocolVersion, WireViolation } from './packet.js'
import { PacketDecoder, type DecoderLimits } from './packet-decoder.js'

/** What tests of the codec share: packets built field by field, and a handler that records. */

export interface SeenPublish {
  readonly type: 'publish'
  readonly topic: string
  readonly payload: string
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  readonly packetId: number
  readonly properties: PublishProperties | undefined
  readonly messageExpiryInterval: number | undefined
  readonly wireLength: number
}

export type Seen = SeenPublish | InboundPacket | ({ readonly type: 'violation' } & WireViolation)

export class Recorder implements PacketHandler {
  readonly seen: Seen[] = []
  /** Called with each thing seen, before the decoder goes on. */
  onSeen: (seen: Seen) => void = () => {}

  publish(
    topic: string,
    payload: Buffer,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    properties: PublishProperties | undefined,
    messageExpiryInterval: number | undefined,
    wireLength: number,
  ): void {
    const text = payload.toString('hex')
    this.record({
      type: 'publish',
      topic,
      payload: text,
      qos,
      retain,
      dup,
      packetId,
      properties,
      messageExpiryInterval,
      wireLength,
    })
  }

  packet(packet: InboundPacket): void {
    this.record(packet)
  }

  violation(violation: WireViolation): void {
    this.record({ type: 'violation', ...violation })
  }

  private record(seen: Seen): void {
    this.seen.push(seen)
    this.onSeen(seen)
  }
}

export const limits: DecoderLimits = { maxPacketSize: 65_536, topicAliasMaximum: 4 }

/** What a decoder makes of the chunks. */
export function decode(chunks: readonly Buffer[], decoderLimits = limits): Seen[] {
  const recorder = new Recorder()
  const decoder = new PacketDecoder(decoderLimits, recorder)
  for (const chunk of chunks) decoder.push(chunk)
  return recorder.seen
}

/** What a decoder makes of bytes that follow a valid CONNECT of that version. */
export function decodeAfterConnect(version: ProtocolVersion, ...bytes: Buffer[]): Seen[] {
  return decode([connect(version), ...bytes]).slice(1)
}

export type Field = number | Buffer | readonly Field[]

/** Bytes, buffers and lists of them, one behind the other. */
export function bytes(...fields: Field[]): Buffer {
  return Buffer.concat(
    fields.map((field) =>
      typeof field === 'number' ? Buffer.from([field]) : Buffer.isBuffer(field) ? field : bytes(...field),
    ),
  )
}

/** A packet: first byte, Remaining Length, fields. */
export function packet(first: number, ...fields: Field[]): Buffer {
  const body = bytes(...fields)
  return bytes(first, integer(body.length), body)
}

export function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff])
}

export function u32(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeUInt32BE(value)
  return buffer
}

/** Variable byte integer. */
export function integer(value: number): Buffer {
  const out: number[] = []
  let rest = value
  do {
    out.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
    rest >>>= 7
  } while (rest > 0)
  return Buffer.from(out)
}

/** A string or binary field with its length in front. */
export function field(content: string | Buffer): Buffer {
  const data = Buffer.from(content)
  return bytes(u16(data.length), data)
}

/** A property block: the identifiers and values given, behind their length. */
export function properties(...fields: Field[]): Buffer {
  const block = bytes(...fields)
  return bytes(integer(block.length), block)
}

export function protocol(version: ProtocolVersion): Buffer {
  return bytes(field(version === 3 ? 'MQIsdp' : 'MQTT'), version)
}

/** CONNECT with those flags, keep-alive 60 s and, for MQTT 5, those properties; the payload follows. */
export function connectWith(
  version: ProtocolVersion,
  flags: number,
  block: Buffer,
  ...payload: Field[]
): Buffer {
  return packet(0x10, protocol(version), flags, u16(60), version === 5 ? block : [], ...payload)
}

export function connect(version: ProtocolVersion): Buffer {
  return connectWith(version, 0x02, properties(), field('c'))
}
