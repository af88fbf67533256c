/** Property identifiers of MQTT 5 (2.2.2.2). */
export const PropertyId = {
  PayloadFormatIndicator: 0x01,
  MessageExpiryInterval: 0x02,
  ContentType: 0x03,
  ResponseTopic: 0x08,
  CorrelationData: 0x09,
  SubscriptionIdentifier: 0x0b,
  SessionExpiryInterval: 0x11,
  AssignedClientIdentifier: 0x12,
  ServerKeepAlive: 0x13,
  AuthenticationMethod: 0x15,
  AuthenticationData: 0x16,
  RequestProblemInformation: 0x17,
  WillDelayInterval: 0x18,
  RequestResponseInformation: 0x19,
  ResponseInformation: 0x1a,
  ServerReference: 0x1c,
  ReasonString: 0x1f,
  ReceiveMaximum: 0x21,
  TopicAliasMaximum: 0x22,
  TopicAlias: 0x23,
  MaximumQoS: 0x24,
  RetainAvailable: 0x25,
  UserProperty: 0x26,
  MaximumPacketSize: 0x27,
  WildcardSubscriptionAvailable: 0x28,
  SubscriptionIdentifierAvailable: 0x29,
  SharedSubscriptionAvailable: 0x2a,
} as const

/** One flag for each property identifier that a packet may carry. */
export type PropertySet = readonly boolean[]

const messageProperties = [
  PropertyId.PayloadFormatIndicator,
  PropertyId.MessageExpiryInterval,
  PropertyId.ContentType,
  PropertyId.ResponseTopic,
  PropertyId.CorrelationData,
  PropertyId.UserProperty,
]

/** What each packet of a client may carry (MQTT 5, table 2-4). */
export const allowedProperties = {
  connect: propertySet(
    PropertyId.SessionExpiryInterval,
    PropertyId.ReceiveMaximum,
    PropertyId.MaximumPacketSize,
    PropertyId.TopicAliasMaximum,
    PropertyId.RequestResponseInformation,
    PropertyId.RequestProblemInformation,
    PropertyId.UserProperty,
    PropertyId.AuthenticationMethod,
    PropertyId.AuthenticationData,
  ),
  will: propertySet(PropertyId.WillDelayInterval, ...messageProperties),
  publish: propertySet(PropertyId.TopicAlias, PropertyId.SubscriptionIdentifier, ...messageProperties),
  ack: propertySet(PropertyId.ReasonString, PropertyId.UserProperty),
  subscribe: propertySet(PropertyId.SubscriptionIdentifier, PropertyId.UserProperty),
  unsubscribe: propertySet(PropertyId.UserProperty),
  disconnect: propertySet(
    PropertyId.SessionExpiryInterval,
    PropertyId.ReasonString,
    PropertyId.UserProperty,
    PropertyId.ServerReference,
  ),
  auth: propertySet(
    PropertyId.AuthenticationMethod,
    PropertyId.AuthenticationData,
    PropertyId.ReasonString,
    PropertyId.UserProperty,
  ),
} as const

function propertySet(...identifiers: number[]): PropertySet {
  const set = new Array<boolean>(PropertyId.SharedSubscriptionAvailable + 1).fill(false)
  for (const identifier of identifiers) set[identifier] = true
  return set
}
