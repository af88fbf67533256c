import type { PublishProperties, QoS, UserProperties } from '../contract/message.js'

/** Protocol level byte of CONNECT: MQTT 3.1, 3.1.1, 5. */
export type ProtocolVersion = 3 | 4 | 5

/**
 * Control packets as values. The types hold what the three versions have in common plus the MQTT 5 properties;
 * a field that a version does not have is at its default when decoded and ignored when encoded.
 * PUBLISH is not among what the decoder hands over as a value: it has a lane of its own (`PacketHandler.publish`).
 */
export type InboundPacket =
  | ConnectPacket
  | AckPacket
  | SubscribePacket
  | UnsubscribePacket
  | PingReqPacket
  | DisconnectPacket
  | AuthPacket

export interface ConnectPacket {
  readonly type: 'connect'
  readonly version: ProtocolVersion
  readonly cleanStart: boolean
  /** Seconds; 0: off. */
  readonly keepAlive: number
  readonly clientId: string
  readonly username: string | undefined
  readonly password: Buffer | undefined
  readonly will: WillFields | undefined
  /** Seconds; undefined when absent (MQTT 5: 0; earlier versions: from Clean Session). */
  readonly sessionExpiryInterval: number | undefined
  readonly receiveMaximum: number | undefined
  readonly maximumPacketSize: number | undefined
  readonly topicAliasMaximum: number
  readonly requestResponseInformation: boolean
  readonly requestProblemInformation: boolean
  readonly userProperties: UserProperties
  readonly authenticationMethod: string | undefined
  readonly authenticationData: Buffer | undefined
}

export interface WillFields {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: QoS
  readonly retain: boolean
  /** Seconds. */
  readonly delayInterval: number
  /** Seconds; undefined: never. */
  readonly messageExpiryInterval: number | undefined
  readonly properties: PublishProperties | undefined
}

export interface AckPacket {
  readonly type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp'
  readonly packetId: number
  /** 0 when absent. */
  readonly reasonCode: number
}

export interface SubscribePacket {
  readonly type: 'subscribe'
  readonly packetId: number
  readonly subscriptions: readonly SubscriptionRequest[]
  readonly subscriptionIdentifier: number | undefined
  readonly userProperties: UserProperties
}

export interface SubscriptionRequest {
  /** As on the wire, `$share/` prefix included; well-formed UTF-8, otherwise not validated. */
  readonly filter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
}

export interface UnsubscribePacket {
  readonly type: 'unsubscribe'
  readonly packetId: number
  readonly filters: readonly string[]
}

export interface PingReqPacket {
  readonly type: 'pingreq'
}

export interface DisconnectPacket {
  readonly type: 'disconnect'
  readonly reasonCode: number
  readonly sessionExpiryInterval: number | undefined
}

export interface AuthPacket {
  readonly type: 'auth'
  readonly reasonCode: number
  readonly authenticationMethod: string | undefined
  readonly authenticationData: Buffer | undefined
}

/** Receives what the decoder finds, synchronously and in order. */
export interface PacketHandler {
  /**
   * The fast lane. `payload` is a view of the buffer handed to the decoder (or of the decoder's own, for a packet
   * that came in pieces); everything else owns its memory. `topic` is the topic name with any
   * alias resolved, well-formed but not validated against wildcards or limits. `packetId` is 0 for QoS 0.
   * `wireLength` is the length of the whole packet in bytes.
   */
  publish(
    topic: string,
    payload: Buffer,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    properties: PublishProperties | undefined,
    /** Seconds; undefined: never. */
    messageExpiryInterval: number | undefined,
    wireLength: number,
  ): void
  packet(packet: InboundPacket): void
  /** The bytes are against the specification: nothing that follows is decoded. Called at most once. */
  violation(violation: WireViolation): void
}

export interface WireViolation {
  /** MQTT 5 reason code: 0x81 malformed, 0x82 protocol error, 0x84 version, 0x94 alias, 0x95 too large ... */
  readonly reasonCode: number
  /** Statement or section that was broken, e.g. `MQTT-3.3.1-4`; `wire-rules.ts` says how they are written. */
  readonly rule: string
  /** In words, without any content of the packet. */
  readonly detail: string
  /**
   * Version to answer in: that of CONNECT, or of what CONNECT asked for where it is not supported. Undefined
   * when nothing is known of the client's version (or it does not speak MQTT): close without an answer.
   */
  readonly version: ProtocolVersion | undefined
}

/** What the client said in CONNECT about packets that are sent to it. */
export interface ReceiverLimits {
  /** Bytes, 1 to 268,435,460 (no limit). */
  readonly maximumPacketSize: number
  /** Request Problem Information; false bars reason strings and user properties [MQTT-3.1.2-29]. */
  readonly problemInformation: boolean
}

/** Properties that a server puts on acknowledgements; omitted for versions before 5. */
export interface AckProperties {
  readonly reasonString?: string
  readonly userProperties?: UserProperties
}

export interface ConnAckFields {
  readonly sessionPresent: boolean
  /** MQTT 5 reason code; the encoder translates for 3.1 and 3.1.1 (table in `reason-codes.ts`). */
  readonly reasonCode: number
  readonly properties?: ConnAckProperties
}

export interface ConnAckProperties extends AckProperties {
  readonly sessionExpiryInterval?: number
  readonly receiveMaximum?: number
  readonly maximumQoS?: 0 | 1
  readonly retainAvailable?: boolean
  readonly maximumPacketSize?: number
  readonly assignedClientIdentifier?: string
  readonly topicAliasMaximum?: number
  readonly wildcardSubscriptionAvailable?: boolean
  readonly subscriptionIdentifiersAvailable?: boolean
  readonly sharedSubscriptionAvailable?: boolean
  readonly serverKeepAlive?: number
  readonly responseInformation?: string
  readonly serverReference?: string
  readonly authenticationMethod?: string
  readonly authenticationData?: Buffer
}

export interface DisconnectFields {
  readonly reasonCode: number
  /** A server never sends a Session Expiry Interval here [MQTT-3.14.2-2]. */
  readonly properties?: AckProperties & { readonly serverReference?: string }
}

export interface AuthFields {
  readonly reasonCode: number
  readonly authenticationMethod: string
  readonly authenticationData?: Buffer
  readonly reasonString?: string
}
