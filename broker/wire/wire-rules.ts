import type { ProtocolVersion, WireViolation } from './packet.js'
import { ReasonCode } from './reason-codes.js'

/**
 * Every rule of the specifications that bytes from a client can break: the one table that the decoder refuses by.
 *
 * How a rule is named, here and in logs: `MQTT-3.3.1-4` is a normative statement of MQTT 5, `MQTT-3.3.2.3.4` (no
 * dash at the end) a section of MQTT 5 that states the rule without an identifier. With `3.1.1/` behind the first
 * dash, `MQTT-3.1.1/2.3.1-1`, it is a statement or section of MQTT 3.1.1. MQTT 3.1 has no identifiers; its
 * connections are told the ones of 3.1.1. Before the version is known, MQTT 5 is cited.
 *
 * Reason codes follow the definitions of MQTT 5, 1.2: what cannot be parsed is malformed (0x81); what can be
 * parsed and is not allowed is a protocol error (0x82), unless a section says otherwise.
 */
export interface WireRule {
  readonly reasonCode: number
  readonly mqtt5: string
  readonly mqtt311: string
  readonly detail: string
}

const malformed = ruleOf(ReasonCode.MalformedPacket)
const protocolError = ruleOf(ReasonCode.ProtocolError)
const unsupportedVersion = ruleOf(ReasonCode.UnsupportedProtocolVersion)
const aliasInvalid = ruleOf(ReasonCode.TopicAliasInvalid)
const tooLarge = ruleOf(ReasonCode.PacketTooLarge)

export const wireRules = {
  // Fixed header
  packetTypeReserved: malformed('control packet type is reserved', '2.1.2', '2.2.1'),
  serverPacket: protocolError('only a server sends this packet', '2.1.2', '2.2.1'),
  reservedFlags: malformed('reserved flags of the fixed header', '2.1.3-1', '2.2.2-2'),
  pubrelFlags: malformed('reserved flags of PUBREL', '3.6.1-1', '3.6.1-1'),
  subscribeFlags: malformed('reserved flags of SUBSCRIBE', '3.8.1-1', '3.8.1-1'),
  unsubscribeFlags: malformed('reserved flags of UNSUBSCRIBE', '3.10.1-1', '3.10.1-1'),
  disconnectFlags: malformed('reserved flags of DISCONNECT', '3.14.1-1', '3.14.1-1'),
  authFlags: malformed('reserved flags of AUTH', '3.15.1-1'),
  publishQoS3: malformed('both QoS bits of PUBLISH are set', '3.3.1-4', '3.3.1-4'),
  publishDupQoS0: malformed('DUP is set on a QoS 0 PUBLISH', '3.3.1-2', '3.3.1-2'),
  firstNotConnect: protocolError('the first packet is not CONNECT', '3.1.0-1', '3.1.0-1'),
  secondConnect: protocolError('second CONNECT on the connection', '3.1.0-2', '3.1.0-2'),
  integerTooLong: malformed('variable byte integer of more than four bytes', '1.5.5', '2.2.3'),
  integerPadded: malformed('variable byte integer is not in its shortest form', '1.5.5-1'),
  packetTooLarge: tooLarge('packet is larger than the maximum packet size', '3.2.2-15', '2.2.3'),

  // Fields
  truncated: malformed('packet ends within a field', '4.13.1-1', '4.8.0-1'),
  trailing: malformed('bytes behind the last field of the packet', '4.13.1-1', '4.8.0-1'),
  illFormedText: malformed('string is not well-formed UTF-8', '1.5.4-1', '1.5.3-1'),
  nullCharacter: malformed('string holds the null character', '1.5.4-2', '1.5.3-2'),
  packetIdZero: protocolError('packet identifier is 0', '2.2.1-3', '2.3.1-1'),
  ackPacketIdZero: protocolError('packet identifier of an acknowledgement is 0', '2.2.1-5', '2.3.1-6'),

  // Properties
  propertyNotAllowed: malformed('property does not belong to the packet', '2.2.2.2'),
  propertyRepeated: protocolError('property is given twice', '2.2.2.2'),
  propertiesOverrun: malformed('properties overrun their length or the packet', '2.2.2.1'),
  payloadFormat: protocolError('Payload Format Indicator is neither 0 nor 1', '3.3.2.3.2'),
  responseTopicWildcard: protocolError('Response Topic has a wildcard', '3.3.2-14'),
  responseTopicEmpty: protocolError('Response Topic is empty', '4.7.3-1'),
  receiveMaximum: protocolError('Receive Maximum is 0', '3.1.2.11.3'),
  maximumPacketSize: protocolError('Maximum Packet Size is 0', '3.1.2.11.4'),
  requestResponseInformation: protocolError('Request Response Information is neither 0 nor 1', '3.1.2.11.6'),
  requestProblemInformation: protocolError('Request Problem Information is neither 0 nor 1', '3.1.2.11.7'),
  authenticationDataAlone: protocolError('Authentication Data without a method', '3.1.2.11.10'),

  // CONNECT
  protocolName: unsupportedVersion('protocol name is neither MQTT nor MQIsdp', '3.1.2-1', '3.1.2-1'),
  protocolVersion: unsupportedVersion('protocol version is not supported', '3.1.2-2', '3.1.2-2'),
  connectReservedFlag: malformed('reserved flag of CONNECT is set', '3.1.2-3', '3.1.2-3'),
  willQoSAlone: protocolError('Will QoS without a Will', '3.1.2-11', '3.1.2-13'),
  willRetainAlone: protocolError('Will Retain without a Will', '3.1.2-13', '3.1.2-15'),
  willQoS3: malformed('Will QoS is 3', '3.1.2-12', '3.1.2-14'),
  passwordAlone: protocolError('Password without a User Name', '3.1.2.9', '3.1.2-22'),
  clientIdMissing: malformed('Client Identifier is missing', '3.1.3-3', '3.1.3-3'),
  willMissing: malformed('Will fields are missing', '3.1.2-9', '3.1.2-9'),
  usernameMissing: malformed('User Name is missing', '3.1.2-17', '3.1.2-19'),
  passwordMissing: malformed('Password is missing', '3.1.2-19', '3.1.2-21'),

  // PUBLISH
  topicMissing: protocolError('Topic Name is empty and there is no Topic Alias', '3.3.2.1', '4.7.3-1'),
  topicAliasZero: aliasInvalid('Topic Alias is 0', '3.3.2-8'),
  topicAliasTooHigh: aliasInvalid('Topic Alias is above the Topic Alias Maximum', '3.3.2-9'),
  topicAliasUnknown: protocolError('Topic Alias has no topic yet', '3.3.2.3.4'),
  subscriptionIdentifierFromClient: protocolError('client sent a Subscription Identifier', '3.3.4-6'),

  // Acknowledgements
  pubackReason: protocolError('not a reason code of PUBACK', '3.4.2-1'),
  pubrecReason: protocolError('not a reason code of PUBREC', '3.5.2-1'),
  pubrelReason: protocolError('not a reason code of PUBREL', '3.6.2-1'),
  pubcompReason: protocolError('not a reason code of PUBCOMP', '3.7.2-1'),

  // SUBSCRIBE, UNSUBSCRIBE
  subscribeEmpty: protocolError('SUBSCRIBE without a Topic Filter', '3.8.3-2', '3.8.3-3'),
  subscriptionReservedBits: malformed('reserved bits of the Subscription Options', '3.8.3-5', '3.8.3-4'),
  subscriptionQoS3: protocolError('requested QoS is 3', '3.8.3.1', '3.8.3-4'),
  retainHandling3: protocolError('Retain Handling is 3', '3.8.3.1'),
  noLocalShared: protocolError('No Local on a Shared Subscription', '3.8.3-4'),
  subscriptionIdentifierZero: protocolError('Subscription Identifier is 0', '3.8.2.1.2'),
  unsubscribeEmpty: protocolError('UNSUBSCRIBE without a Topic Filter', '3.10.3-2', '3.10.3-2'),

  // DISCONNECT, AUTH
  disconnectReason: protocolError('not a reason code of DISCONNECT', '3.14.2-1'),
  authReason: protocolError('not a reason code that a client sends in AUTH', '3.15.2-1'),
  authMethodMissing: protocolError('AUTH without an Authentication Method', '3.15.2.2.2'),
} as const satisfies Record<string, WireRule>

export function violationOf(rule: WireRule, version: ProtocolVersion | undefined): WireViolation {
  const cited = version === 3 || version === 4 ? rule.mqtt311 : rule.mqtt5
  return { reasonCode: rule.reasonCode, rule: cited, detail: rule.detail, version }
}

/** Without a reference into 3.1.1 the rule concerns MQTT 5 alone, or 3.1.1 states nothing of the kind. */
function ruleOf(reasonCode: number) {
  return (detail: string, mqtt5: string, mqtt311?: string): WireRule => ({
    reasonCode,
    mqtt5: `MQTT-${mqtt5}`,
    mqtt311: mqtt311 === undefined ? `MQTT-${mqtt5}` : `MQTT-3.1.1/${mqtt311}`,
    detail,
  })
}
