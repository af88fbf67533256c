import type { ProtocolVersion } from './packet.js'
import { wireRules, type WireRule } from './wire-rules.js'

/** Control packet types (MQTT 5, 2.1.2): the upper half of the first byte. */
export const PacketType = {
  Connect: 1,
  ConnAck: 2,
  Publish: 3,
  PubAck: 4,
  PubRec: 5,
  PubRel: 6,
  PubComp: 7,
  Subscribe: 8,
  SubAck: 9,
  Unsubscribe: 10,
  UnsubAck: 11,
  PingReq: 12,
  PingResp: 13,
  Disconnect: 14,
  Auth: 15,
} as const

/** For each value of a packet's first byte: the rule that it breaks, or undefined. */
export type FirstByteRules = readonly (WireRule | undefined)[]

/** The first packet [MQTT-3.1.0-1]. */
export const beforeConnect: FirstByteRules = table((type, flags) => {
  if (type !== PacketType.Connect) return wireRules.firstNotConnect
  return flags === 0 ? undefined : wireRules.reservedFlags
})

/** Every later packet, by protocol version. */
export const afterConnect: Record<ProtocolVersion, FirstByteRules> = {
  3: table((type, flags) => brokenRule(type, flags, 3)),
  4: table((type, flags) => brokenRule(type, flags, 4)),
  5: table((type, flags) => brokenRule(type, flags, 5)),
}

function brokenRule(type: number, flags: number, version: ProtocolVersion): WireRule | undefined {
  switch (type) {
    case PacketType.Connect:
      return wireRules.secondConnect
    case PacketType.Publish:
      if ((flags & 0x06) === 0x06) return wireRules.publishQoS3
      return (flags & 0x0e) === 0x08 ? wireRules.publishDupQoS0 : undefined
    case PacketType.PubRel:
      return fixedFlags(flags, version) ? undefined : wireRules.pubrelFlags
    case PacketType.Subscribe:
      return fixedFlags(flags, version) ? undefined : wireRules.subscribeFlags
    case PacketType.Unsubscribe:
      return fixedFlags(flags, version) ? undefined : wireRules.unsubscribeFlags
    case PacketType.PubAck:
    case PacketType.PubRec:
    case PacketType.PubComp:
    case PacketType.PingReq:
      return flags === 0 ? undefined : wireRules.reservedFlags
    case PacketType.Disconnect:
      return flags === 0 ? undefined : wireRules.disconnectFlags
    case PacketType.Auth:
      if (version < 5) return wireRules.packetTypeReserved
      return flags === 0 ? undefined : wireRules.authFlags
    case PacketType.ConnAck:
    case PacketType.SubAck:
    case PacketType.UnsubAck:
    case PacketType.PingResp:
      return wireRules.serverPacket
    default:
      return wireRules.packetTypeReserved
  }
}

/** 0010; MQTT 3.1 sends these packets with QoS 1, and again with DUP (3.1, 2.1). */
function fixedFlags(flags: number, version: ProtocolVersion): boolean {
  return flags === 0x02 || (version === 3 && flags === 0x0a)
}

function table(ruleOf: (type: number, flags: number) => WireRule | undefined): FirstByteRules {
  return Array.from({ length: 256 }, (_, first) => ruleOf(first >> 4, first & 0x0f))
}
