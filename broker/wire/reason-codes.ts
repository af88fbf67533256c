/**
 * Reason codes of MQTT 5 (2.4) under the names of the specification. 0x00 has three names, by packet. From 0x80
 * on they say failure.
 */
export const ReasonCode = {
  Success: 0x00,
  NormalDisconnection: 0x00,
  GrantedQoS0: 0x00,
  GrantedQoS1: 0x01,
  GrantedQoS2: 0x02,
  DisconnectWithWillMessage: 0x04,
  NoMatchingSubscribers: 0x10,
  NoSubscriptionExisted: 0x11,
  ContinueAuthentication: 0x18,
  ReAuthenticate: 0x19,
  UnspecifiedError: 0x80,
  MalformedPacket: 0x81,
  ProtocolError: 0x82,
  ImplementationSpecificError: 0x83,
  UnsupportedProtocolVersion: 0x84,
  ClientIdentifierNotValid: 0x85,
  BadUserNameOrPassword: 0x86,
  NotAuthorized: 0x87,
  ServerUnavailable: 0x88,
  ServerBusy: 0x89,
  Banned: 0x8a,
  ServerShuttingDown: 0x8b,
  BadAuthenticationMethod: 0x8c,
  KeepAliveTimeout: 0x8d,
  SessionTakenOver: 0x8e,
  TopicFilterInvalid: 0x8f,
  TopicNameInvalid: 0x90,
  PacketIdentifierInUse: 0x91,
  PacketIdentifierNotFound: 0x92,
  ReceiveMaximumExceeded: 0x93,
  TopicAliasInvalid: 0x94,
  PacketTooLarge: 0x95,
  MessageRateTooHigh: 0x96,
  QuotaExceeded: 0x97,
  AdministrativeAction: 0x98,
  PayloadFormatInvalid: 0x99,
  RetainNotSupported: 0x9a,
  QoSNotSupported: 0x9b,
  UseAnotherServer: 0x9c,
  ServerMoved: 0x9d,
  SharedSubscriptionsNotSupported: 0x9e,
  ConnectionRateExceeded: 0x9f,
  MaximumConnectTime: 0xa0,
  SubscriptionIdentifiersNotSupported: 0xa1,
  WildcardSubscriptionsNotSupported: 0xa2,
} as const

/** Return codes of CONNACK in MQTT 3.1 and 3.1.1 (3.1.1, 3.2.2.3). */
export const ConnectReturnCode = {
  Accepted: 0,
  UnacceptableProtocolVersion: 1,
  IdentifierRejected: 2,
  ServerUnavailable: 3,
  BadUserNameOrPassword: 4,
  NotAuthorized: 5,
} as const

/** The only failure that SUBACK of MQTT 3.1.1 knows [MQTT-3.1.1/3.9.3-2]. */
export const SUBACK_FAILURE = 0x80

const returnCodes = new Map<number, number>([
  [ReasonCode.Success, ConnectReturnCode.Accepted],
  [ReasonCode.UnsupportedProtocolVersion, ConnectReturnCode.UnacceptableProtocolVersion],
  [ReasonCode.ClientIdentifierNotValid, ConnectReturnCode.IdentifierRejected],
  [ReasonCode.BadUserNameOrPassword, ConnectReturnCode.BadUserNameOrPassword],
  [ReasonCode.NotAuthorized, ConnectReturnCode.NotAuthorized],
  [ReasonCode.Banned, ConnectReturnCode.NotAuthorized],
  [ReasonCode.BadAuthenticationMethod, ConnectReturnCode.NotAuthorized],
  [ReasonCode.UnspecifiedError, ConnectReturnCode.ServerUnavailable],
  [ReasonCode.ImplementationSpecificError, ConnectReturnCode.ServerUnavailable],
  [ReasonCode.ServerUnavailable, ConnectReturnCode.ServerUnavailable],
  [ReasonCode.ServerBusy, ConnectReturnCode.ServerUnavailable],
  [ReasonCode.QuotaExceeded, ConnectReturnCode.ServerUnavailable],
  [ReasonCode.UseAnotherServer, ConnectReturnCode.ServerUnavailable],
  [ReasonCode.ServerMoved, ConnectReturnCode.ServerUnavailable],
  [ReasonCode.ConnectionRateExceeded, ConnectReturnCode.ServerUnavailable],
])

/**
 * The CONNACK return code that says in MQTT 3.1 and 3.1.1 what the reason code says in MQTT 5. Undefined: none
 * does, and the connection is closed without a CONNACK [MQTT-3.1.1/3.2.2-6] [MQTT-3.1.1/3.1.4-1].
 */
export function connectReturnCode(reasonCode: number): number | undefined {
  return returnCodes.get(reasonCode)
}

/** SUBACK return code of MQTT 3.1 and 3.1.1: the granted QoS or 0x80. */
export function subscribeReturnCode(reasonCode: number): number {
  return reasonCode >= 0x80 ? SUBACK_FAILURE : reasonCode
}
