import { describe, expect, it } from 'vitest'
import type { ProtocolVersion, WireViolation } from './packet.js'
import {
  bytes,
  connect,
  connectWith,
  decode,
  field,
  integer,
  packet,
  properties,
  protocol,
  u16,
  u32,
} from './wire-fixture.js'
import { wireRules } from './wire-rules.js'

/** Statement or section, reason code, version of the connection (undefined: nothing before), what, the bytes. */
type Row = readonly [string, number, ProtocolVersion | undefined, string, Buffer]

const bad = Buffer.from([0xc3, 0x28])
const surrogate = Buffer.from([0xed, 0xa0, 0x80])
const none = properties()
const topic = field('t')
const id = u16(1)

/** PUBLISH of MQTT 5, QoS 0, with those properties. */
const publish5 = (...block: Parameters<typeof properties>) => packet(0x30, topic, properties(...block))
const connect5 = (...block: Parameters<typeof properties>) =>
  connectWith(5, 0x02, properties(...block), field('c'))
const will5 = (...block: Parameters<typeof properties>) =>
  connectWith(5, 0x06, none, field('c'), properties(...block), field('w'), field(''))

const fixedHeader: Row[] = [
  ['MQTT-3.1.0-1', 0x82, undefined, 'PUBLISH as the first packet', packet(0x30, topic)],
  ['MQTT-3.1.0-1', 0x82, undefined, 'PINGREQ as the first packet', packet(0xc0)],
  ['MQTT-3.1.0-1', 0x82, undefined, 'an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ['MQTT-2.1.3-1', 0x81, undefined, 'a TLS client hello', Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00])],
  ['MQTT-2.1.3-1', 0x81, undefined, 'flags of CONNECT', bytes(0x11, connect(5).subarray(1))],
  ['MQTT-3.1.0-2', 0x82, 5, 'a second CONNECT', connect(5)],
  ['MQTT-3.1.1/3.1.0-2', 0x82, 4, 'a second CONNECT', connect(4)],
  ['MQTT-3.1.1/3.1.0-2', 0x82, 3, 'a second CONNECT', connect(3)],
  ['MQTT-2.1.2', 0x81, 5, 'packet type 0', packet(0x00)],
  ['MQTT-3.1.1/2.2.1', 0x81, 4, 'packet type 0', packet(0x00)],
  ['MQTT-3.1.1/2.2.1', 0x81, 4, 'AUTH before MQTT 5', packet(0xf0)],
  ['MQTT-3.1.1/2.2.1', 0x81, 3, 'AUTH before MQTT 5', packet(0xf0)],
  ['MQTT-2.1.2', 0x82, 5, 'CONNACK from a client', packet(0x20, 0, 0, none)],
  ['MQTT-2.1.2', 0x82, 5, 'SUBACK from a client', packet(0x90, id, none, 0)],
  ['MQTT-2.1.2', 0x82, 5, 'UNSUBACK from a client', packet(0xb0, id, none, 0)],
  ['MQTT-2.1.2', 0x82, 5, 'PINGRESP from a client', packet(0xd0)],
  ['MQTT-3.1.1/2.2.1', 0x82, 4, 'CONNACK from a client', packet(0x20, 0, 0)],
  ['MQTT-2.1.3-1', 0x81, 5, 'flags of PUBACK', packet(0x42, id)],
  ['MQTT-2.1.3-1', 0x81, 5, 'flags of PUBREC', packet(0x51, id)],
  ['MQTT-2.1.3-1', 0x81, 5, 'flags of PUBCOMP', packet(0x72, id)],
  ['MQTT-2.1.3-1', 0x81, 5, 'flags of PINGREQ', packet(0xc8)],
  ['MQTT-3.1.1/2.2.2-2', 0x81, 4, 'flags of PUBACK', packet(0x42, id)],
  ['MQTT-3.6.1-1', 0x81, 5, 'flags of PUBREL', packet(0x60, id)],
  ['MQTT-3.1.1/3.6.1-1', 0x81, 4, 'flags of PUBREL', packet(0x6a, id)],
  ['MQTT-3.1.1/3.6.1-1', 0x81, 3, 'flags of PUBREL', packet(0x60, id)],
  ['MQTT-3.8.1-1', 0x81, 5, 'flags of SUBSCRIBE', packet(0x80, id, none, topic, 0)],
  ['MQTT-3.1.1/3.8.1-1', 0x81, 4, 'flags of SUBSCRIBE', packet(0x8a, id, topic, 0)],
  ['MQTT-3.10.1-1', 0x81, 5, 'flags of UNSUBSCRIBE', packet(0xa3, id, none, topic)],
  ['MQTT-3.1.1/3.10.1-1', 0x81, 4, 'flags of UNSUBSCRIBE', packet(0xa0, id, topic)],
  ['MQTT-3.14.1-1', 0x81, 5, 'flags of DISCONNECT', packet(0xe1)],
  ['MQTT-3.1.1/3.14.1-1', 0x81, 4, 'flags of DISCONNECT', packet(0xe2)],
  ['MQTT-3.15.1-1', 0x81, 5, 'flags of AUTH', packet(0xf1, 0x19, properties(0x15, field('m')))],
  ['MQTT-3.3.1-4', 0x81, 5, 'QoS 3', packet(0x36, topic, id, none)],
  ['MQTT-3.1.1/3.3.1-4', 0x81, 4, 'QoS 3', packet(0x36, topic, id)],
  ['MQTT-3.3.1-2', 0x81, 5, 'DUP with QoS 0', packet(0x38, topic, none)],
  ['MQTT-3.1.1/3.3.1-2', 0x81, 4, 'DUP with QoS 0', packet(0x38, topic)],
  ['MQTT-1.5.5', 0x81, 5, 'Remaining Length of five bytes', bytes(0x30, 0xff, 0xff, 0xff, 0xff, 0x01)],
  ['MQTT-3.1.1/2.2.3', 0x81, 4, 'Remaining Length of five bytes', bytes(0x30, 0xff, 0xff, 0xff, 0xff, 0x01)],
  [
    'MQTT-1.5.5',
    0x81,
    undefined,
    'Remaining Length of five bytes',
    bytes(0x10, 0x80, 0x80, 0x80, 0x80, 0x01),
  ],
  ['MQTT-1.5.5-1', 0x81, 5, 'Remaining Length not in its shortest form', bytes(0xc0, 0x80, 0x00)],
  ['MQTT-3.2.2-15', 0x95, 5, 'a packet of 65,537 bytes', bytes(0x30, integer(65_533))],
  ['MQTT-3.1.1/2.2.3', 0x95, 4, 'a packet of 65,537 bytes', bytes(0x30, integer(65_533))],
  ['MQTT-3.2.2-15', 0x95, undefined, 'a CONNECT of 65,537 bytes', bytes(0x10, integer(65_533))],
]

const fields: Row[] = [
  ['MQTT-4.13.1-1', 0x81, 5, 'SUBSCRIBE that ends in its packet identifier', packet(0x82, 0x00)],
  ['MQTT-3.1.1/4.8.0-1', 0x81, 4, 'SUBSCRIBE that ends in a filter', packet(0x82, id, u16(2), 0x61)],
  ['MQTT-4.13.1-1', 0x81, 5, 'PUBLISH that ends in its topic length', packet(0x30, 0x00)],
  ['MQTT-4.13.1-1', 0x81, 5, 'PUBLISH that ends in its topic', packet(0x30, u16(2), 0x61)],
  ['MQTT-4.13.1-1', 0x81, 5, 'PUBLISH that ends in its packet identifier', packet(0x32, topic, 0x00)],
  ['MQTT-4.13.1-1', 0x81, 5, 'PUBLISH without a property length', packet(0x30, topic)],
  ['MQTT-3.1.1/4.8.0-1', 0x81, 4, 'an empty PUBLISH', packet(0x30)],
  ['MQTT-4.13.1-1', 0x81, 5, 'PINGREQ with a payload', packet(0xc0, 0x00)],
  ['MQTT-3.1.1/4.8.0-1', 0x81, 4, 'PINGREQ with a payload', packet(0xc0, 0x00)],
  ['MQTT-3.1.1/4.8.0-1', 0x81, 4, 'DISCONNECT with a payload', packet(0xe0, 0x00)],
  ['MQTT-3.1.1/4.8.0-1', 0x81, 4, 'PUBACK with a reason code', packet(0x40, id, 0x00)],
  ['MQTT-4.13.1-1', 0x81, 5, 'bytes behind the properties of PUBACK', packet(0x40, id, 0x00, none, 0x00)],
  ['MQTT-1.5.4-1', 0x81, 5, 'a topic that is not UTF-8 [MQTT-3.3.2-1]', packet(0x30, field(bad), none)],
  ['MQTT-1.5.4-1', 0x81, 5, 'a topic with a surrogate', packet(0x30, field(surrogate), none)],
  ['MQTT-1.5.4-1', 0x81, 5, 'an overlong form', packet(0x30, field(Buffer.from([0xc1, 0x81])), none)],
  ['MQTT-1.5.4-1', 0x81, 5, 'a lone continuation byte', packet(0x30, field(Buffer.from([0xe9])), none)],
  [
    'MQTT-1.5.4-1',
    0x81,
    5,
    'a filter that is not UTF-8 [MQTT-3.8.3-1]',
    packet(0x82, id, none, field(bad), 0),
  ],
  ['MQTT-1.5.4-1', 0x81, 5, 'a filter that is not UTF-8 [MQTT-3.10.3-1]', packet(0xa2, id, none, field(bad))],
  [
    'MQTT-1.5.4-1',
    0x81,
    undefined,
    'a client id that is not UTF-8 [MQTT-3.1.3-4]',
    connectWith(5, 2, none, field(bad)),
  ],
  [
    'MQTT-1.5.4-1',
    0x81,
    undefined,
    'a will topic that is not UTF-8 [MQTT-3.1.3-11]',
    connectWith(5, 6, none, field('c'), none, field(bad), field('')),
  ],
  [
    'MQTT-1.5.4-1',
    0x81,
    undefined,
    'a user name that is not UTF-8 [MQTT-3.1.3-12]',
    connectWith(5, 0x82, none, field('c'), field(bad)),
  ],
  ['MQTT-1.5.4-1', 0x81, 5, 'a response topic that is not UTF-8 [MQTT-3.3.2-13]', publish5(0x08, field(bad))],
  ['MQTT-1.5.4-1', 0x81, 5, 'a content type that is not UTF-8 [MQTT-3.3.2-19]', publish5(0x03, field(bad))],
  ['MQTT-1.5.4-1', 0x81, 5, 'a user property name [MQTT-1.5.7-1]', publish5(0x26, field(bad), field(''))],
  ['MQTT-1.5.4-1', 0x81, 5, 'a user property value [MQTT-1.5.7-1]', publish5(0x26, field(''), field(bad))],
  ['MQTT-3.1.1/1.5.3-1', 0x81, 4, 'a topic that is not UTF-8', packet(0x30, field(bad))],
  ['MQTT-3.1.1/1.5.3-1', 0x81, 3, 'a topic that is not UTF-8', packet(0x30, field(bad))],
  ['MQTT-1.5.4-2', 0x81, 5, 'a topic with U+0000 [MQTT-4.7.3-2]', packet(0x30, field('a\0'), none)],
  ['MQTT-1.5.4-2', 0x81, 5, 'a filter with U+0000 [MQTT-4.7.3-2]', packet(0x82, id, none, field('\0'), 0)],
  ['MQTT-3.1.1/1.5.3-2', 0x81, 4, 'a topic with U+0000', packet(0x30, field('a\0'))],
  ['MQTT-2.2.1-3', 0x82, 5, 'PUBLISH with packet identifier 0', packet(0x32, topic, u16(0), none)],
  ['MQTT-2.2.1-3', 0x82, 5, 'SUBSCRIBE with packet identifier 0', packet(0x82, u16(0), none, topic, 0)],
  ['MQTT-2.2.1-3', 0x82, 5, 'UNSUBSCRIBE with packet identifier 0', packet(0xa2, u16(0), none, topic)],
  ['MQTT-3.1.1/2.3.1-1', 0x82, 4, 'PUBLISH with packet identifier 0', packet(0x34, topic, u16(0))],
  ['MQTT-3.1.1/2.3.1-1', 0x82, 4, 'SUBSCRIBE with packet identifier 0', packet(0x82, u16(0), topic, 0)],
  ['MQTT-3.1.1/2.3.1-1', 0x82, 3, 'UNSUBSCRIBE with packet identifier 0', packet(0xa2, u16(0), topic)],
  ['MQTT-2.2.1-5', 0x82, 5, 'PUBACK with packet identifier 0', packet(0x40, u16(0))],
  ['MQTT-2.2.1-5', 0x82, 5, 'PUBREL with packet identifier 0', packet(0x62, u16(0))],
  ['MQTT-3.1.1/2.3.1-6', 0x82, 4, 'PUBREC with packet identifier 0', packet(0x50, u16(0))],
]

const propertyRows: Row[] = [
  ['MQTT-2.2.2.2', 0x81, 5, 'an unknown property', publish5(0x7f, 0)],
  ['MQTT-2.2.2.2', 0x81, 5, 'a property identifier of two bytes', publish5(0x80, 0x01, 0)],
  [
    'MQTT-1.5.5-1',
    0x81,
    5,
    'a property identifier that is not in its shortest form',
    publish5(0x81, 0x00, 0),
  ],
  ['MQTT-2.2.2.2', 0x81, 5, 'Receive Maximum in PUBLISH', publish5(0x21, id)],
  ['MQTT-2.2.2.2', 0x81, 5, 'Topic Alias in PUBACK', packet(0x40, id, 0, properties(0x23, id))],
  [
    'MQTT-2.2.2.2',
    0x81,
    5,
    'Reason String in SUBSCRIBE',
    packet(0x82, id, properties(0x1f, topic), topic, 0),
  ],
  [
    'MQTT-2.2.2.2',
    0x81,
    5,
    'Subscription Identifier in UNSUBSCRIBE',
    packet(0xa2, id, properties(0x0b, 1), topic),
  ],
  ['MQTT-2.2.2.2', 0x81, 5, 'Will Delay in DISCONNECT', packet(0xe0, 0, properties(0x18, u32(1)))],
  ['MQTT-2.2.2.2', 0x81, 5, 'Server Reference in AUTH', packet(0xf0, 0x19, properties(0x1c, topic))],
  ['MQTT-2.2.2.2', 0x81, undefined, 'Will Delay in CONNECT', connect5(0x18, u32(1))],
  ['MQTT-2.2.2.2', 0x81, undefined, 'Receive Maximum in the Will', will5(0x21, id)],
  ['MQTT-2.2.2.2', 0x82, 5, 'Payload Format Indicator twice', publish5(0x01, 1, 0x01, 1)],
  ['MQTT-2.2.2.2', 0x82, 5, 'Topic Alias twice', publish5(0x23, id, 0x23, id)],
  ['MQTT-2.2.2.2', 0x82, undefined, 'Session Expiry Interval twice', connect5(0x11, u32(1), 0x11, u32(1))],
  ['MQTT-2.2.2.2', 0x82, undefined, 'Receive Maximum twice', connect5(0x21, id, 0x21, id)],
  ['MQTT-2.2.2.2', 0x82, undefined, 'Will Delay twice', will5(0x18, u32(1), 0x18, u32(1))],
  [
    'MQTT-2.2.2.2',
    0x82,
    5,
    'Subscription Identifier twice in SUBSCRIBE',
    packet(0x82, id, properties(0x0b, 1, 0x0b, 2), topic, 0),
  ],
  ['MQTT-2.2.2.2', 0x82, 5, 'Reason String twice', packet(0x40, id, 0, properties(0x1f, topic, 0x1f, topic))],
  ['MQTT-2.2.2.1', 0x81, 5, 'properties longer than the packet', packet(0x30, topic, 5, 0x01, 0)],
  ['MQTT-2.2.2.1', 0x81, 5, 'a property longer than its block', packet(0x30, topic, 2, 0x02, u32(1))],
  [
    'MQTT-2.2.2.1',
    0x81,
    5,
    'a string longer than its block',
    packet(0x30, topic, 4, 0x03, u16(3), 0x61, 0x61, 0x61),
  ],
  [
    'MQTT-1.5.5',
    0x81,
    5,
    'a property length of five bytes',
    packet(0x30, topic, 0x80, 0x80, 0x80, 0x80, 0x00),
  ],
  ['MQTT-1.5.5-1', 0x81, 5, 'a property length not in its shortest form', packet(0x30, topic, 0x80, 0x00)],
  ['MQTT-3.3.2.3.2', 0x82, 5, 'Payload Format Indicator 2', publish5(0x01, 2)],
  ['MQTT-3.3.2.3.2', 0x82, undefined, 'Payload Format Indicator 2 in the Will', will5(0x01, 2)],
  ['MQTT-3.3.2-14', 0x82, 5, 'a Response Topic with +', publish5(0x08, field('a/+'))],
  ['MQTT-3.3.2-14', 0x82, 5, 'a Response Topic with #', publish5(0x08, field('#'))],
  ['MQTT-3.3.2-14', 0x82, undefined, 'a Response Topic with # in the Will', will5(0x08, field('#'))],
  ['MQTT-4.7.3-1', 0x82, 5, 'an empty Response Topic', publish5(0x08, field(''))],
  ['MQTT-3.1.2.11.3', 0x82, undefined, 'Receive Maximum 0', connect5(0x21, u16(0))],
  ['MQTT-3.1.2.11.4', 0x82, undefined, 'Maximum Packet Size 0', connect5(0x27, u32(0))],
  ['MQTT-3.1.2.11.6', 0x82, undefined, 'Request Response Information 2', connect5(0x19, 2)],
  ['MQTT-3.1.2.11.7', 0x82, undefined, 'Request Problem Information 2', connect5(0x17, 2)],
  ['MQTT-3.1.2.11.10', 0x82, undefined, 'Authentication Data without a method', connect5(0x16, field('d'))],
]

const connectRows: Row[] = [
  ['MQTT-3.1.2-1', 0x84, undefined, 'another protocol name', packet(0x10, field('MQTX'), 5)],
  ['MQTT-3.1.2-1', 0x84, undefined, 'a protocol name in small letters', packet(0x10, field('mqtt'), 5)],
  ['MQTT-3.1.2-1', 0x84, undefined, 'a protocol name of no length', packet(0x10, field(''), 5)],
  ['MQTT-3.1.2-2', 0x84, undefined, 'protocol version 6', packet(0x10, field('MQTT'), 6)],
  ['MQTT-3.1.1/3.1.2-2', 0x84, undefined, 'protocol version 3 of MQTT', packet(0x10, field('MQTT'), 3)],
  ['MQTT-3.1.1/3.1.2-2', 0x84, undefined, 'protocol version 4 of MQIsdp', packet(0x10, field('MQIsdp'), 4)],
  ['MQTT-4.13.1-1', 0x81, undefined, 'an empty CONNECT', packet(0x10)],
  ['MQTT-4.13.1-1', 0x81, undefined, 'a CONNECT that ends in its protocol name', packet(0x10, u16(4), 0x4d)],
  ['MQTT-4.13.1-1', 0x81, undefined, 'a CONNECT that ends behind its version', packet(0x10, protocol(5))],
  ['MQTT-3.1.2-3', 0x81, undefined, 'the reserved flag', connectWith(5, 0x03, none, field('c'))],
  ['MQTT-3.1.1/3.1.2-3', 0x81, undefined, 'the reserved flag', connectWith(4, 0x03, none, field('c'))],
  ['MQTT-3.1.2-11', 0x82, undefined, 'Will QoS without a Will', connectWith(5, 0x0a, none, field('c'))],
  ['MQTT-3.1.1/3.1.2-13', 0x82, undefined, 'Will QoS without a Will', connectWith(4, 0x12, none, field('c'))],
  ['MQTT-3.1.2-13', 0x82, undefined, 'Will Retain without a Will', connectWith(5, 0x22, none, field('c'))],
  [
    'MQTT-3.1.1/3.1.2-15',
    0x82,
    undefined,
    'Will Retain without a Will',
    connectWith(4, 0x22, none, field('c')),
  ],
  [
    'MQTT-3.1.2-12',
    0x81,
    undefined,
    'Will QoS 3',
    connectWith(5, 0x1e, none, field('c'), none, field('w'), field('')),
  ],
  [
    'MQTT-3.1.1/3.1.2-14',
    0x81,
    undefined,
    'Will QoS 3',
    connectWith(4, 0x1e, none, field('c'), field('w'), field('')),
  ],
  [
    'MQTT-3.1.1/3.1.2-22',
    0x82,
    undefined,
    'a password without a user name',
    connectWith(4, 0x42, none, field('c'), field('p')),
  ],
  [
    'MQTT-3.1.1/3.1.2-22',
    0x82,
    undefined,
    'a password without a user name (MQTT 3.1)',
    connectWith(3, 0x42, none, field('c'), field('p')),
  ],
  ['MQTT-3.1.3-3', 0x81, undefined, 'no client id', connectWith(5, 0x02, none)],
  ['MQTT-3.1.1/3.1.3-3', 0x81, undefined, 'no client id', connectWith(4, 0x02, none)],
  ['MQTT-3.1.2-9', 0x81, undefined, 'no Will', connectWith(5, 0x06, none, field('c'))],
  ['MQTT-3.1.2-9', 0x81, undefined, 'no Will Topic', connectWith(5, 0x06, none, field('c'), none)],
  [
    'MQTT-3.1.2-9',
    0x81,
    undefined,
    'no Will Payload',
    connectWith(5, 0x06, none, field('c'), none, field('w')),
  ],
  ['MQTT-3.1.1/3.1.2-9', 0x81, undefined, 'no Will', connectWith(4, 0x06, none, field('c'))],
  ['MQTT-3.1.2-17', 0x81, undefined, 'no user name', connectWith(5, 0x82, none, field('c'))],
  ['MQTT-3.1.1/3.1.2-19', 0x81, undefined, 'no user name', connectWith(4, 0x82, none, field('c'))],
  ['MQTT-3.1.2-19', 0x81, undefined, 'no password', connectWith(5, 0x42, none, field('c'))],
  ['MQTT-3.1.1/3.1.2-21', 0x81, undefined, 'no password', connectWith(4, 0xc2, none, field('c'), field('u'))],
  [
    'MQTT-4.13.1-1',
    0x81,
    undefined,
    'a user name without its flag [MQTT-3.1.2-16]',
    connectWith(5, 0x02, none, field('c'), field('u')),
  ],
  [
    'MQTT-4.13.1-1',
    0x81,
    undefined,
    'a password without its flag [MQTT-3.1.2-18]',
    connectWith(5, 0x82, none, field('c'), field('u'), field('p')),
  ],
  [
    'MQTT-3.1.1/4.8.0-1',
    0x81,
    undefined,
    'a user name without its flag [MQTT-3.1.1/3.1.2-18]',
    connectWith(4, 0x02, none, field('c'), field('u')),
  ],
  [
    'MQTT-1.5.5-1',
    0x81,
    undefined,
    'Remaining Length not in its shortest form',
    bytes(0x10, 0x8e, 0x00, protocol(5), 0x02, u16(60), none, field('c')),
  ],
]

const publishRows: Row[] = [
  ['MQTT-3.3.2.1', 0x82, 5, 'an empty topic without an alias', packet(0x30, field(''), none)],
  [
    'MQTT-3.3.2.1',
    0x82,
    5,
    'an empty topic with other properties',
    packet(0x30, field(''), properties(0x01, 1)),
  ],
  ['MQTT-3.1.1/4.7.3-1', 0x82, 4, 'an empty topic', packet(0x30, field(''))],
  ['MQTT-3.3.2-8', 0x94, 5, 'Topic Alias 0', publish5(0x23, u16(0))],
  ['MQTT-3.3.2-9', 0x94, 5, 'a Topic Alias above the maximum [MQTT-3.2.2-17]', publish5(0x23, u16(5))],
  [
    'MQTT-3.3.2.3.4',
    0x82,
    5,
    'a Topic Alias that has no topic',
    packet(0x30, field(''), properties(0x23, u16(4))),
  ],
  ['MQTT-3.3.4-6', 0x82, 5, 'a Subscription Identifier', publish5(0x0b, 1)],
]

const otherRows: Row[] = [
  ['MQTT-3.4.2-1', 0x82, 5, 'reason code 0x92 in PUBACK', packet(0x40, id, 0x92)],
  ['MQTT-3.5.2-1', 0x82, 5, 'reason code 0x01 in PUBREC', packet(0x50, id, 0x01)],
  ['MQTT-3.6.2-1', 0x82, 5, 'reason code 0x80 in PUBREL', packet(0x62, id, 0x80)],
  ['MQTT-3.7.2-1', 0x82, 5, 'reason code 0x80 in PUBCOMP', packet(0x70, id, 0x80)],
  ['MQTT-3.8.3-2', 0x82, 5, 'SUBSCRIBE without a filter', packet(0x82, id, none)],
  ['MQTT-3.1.1/3.8.3-3', 0x82, 4, 'SUBSCRIBE without a filter', packet(0x82, id)],
  ['MQTT-4.13.1-1', 0x81, 5, 'a filter without options', packet(0x82, id, none, topic)],
  ['MQTT-3.8.3-5', 0x81, 5, 'reserved bit 6 of the options', packet(0x82, id, none, topic, 0x40)],
  ['MQTT-3.8.3-5', 0x81, 5, 'reserved bit 7 of the options', packet(0x82, id, none, topic, 0x80)],
  ['MQTT-3.1.1/3.8.3-4', 0x81, 4, 'No Local before MQTT 5', packet(0x82, id, topic, 0x04)],
  ['MQTT-3.1.1/3.8.3-4', 0x81, 3, 'a reserved bit of the requested QoS', packet(0x82, id, topic, 0x80)],
  ['MQTT-3.8.3.1', 0x82, 5, 'requested QoS 3', packet(0x82, id, none, topic, 0x03)],
  ['MQTT-3.1.1/3.8.3-4', 0x82, 4, 'requested QoS 3', packet(0x82, id, topic, 0x03)],
  ['MQTT-3.8.3.1', 0x82, 5, 'Retain Handling 3', packet(0x82, id, none, topic, 0x30)],
  [
    'MQTT-3.8.3-4',
    0x82,
    5,
    'No Local on a Shared Subscription',
    packet(0x82, id, none, field('$share/g/t'), 0x04),
  ],
  ['MQTT-3.8.2.1.2', 0x82, 5, 'Subscription Identifier 0', packet(0x82, id, properties(0x0b, 0), topic, 0)],
  [
    'MQTT-1.5.5',
    0x81,
    5,
    'a Subscription Identifier of five bytes',
    packet(0x82, id, properties(0x0b, 0xff, 0xff, 0xff, 0xff, 0x01), topic, 0),
  ],
  ['MQTT-3.10.3-2', 0x82, 5, 'UNSUBSCRIBE without a filter', packet(0xa2, id, none)],
  ['MQTT-3.1.1/3.10.3-2', 0x82, 4, 'UNSUBSCRIBE without a filter', packet(0xa2, id)],
  ['MQTT-3.14.2-1', 0x82, 5, 'reason code 0x01 in DISCONNECT', packet(0xe0, 0x01)],
  ['MQTT-3.15.2-1', 0x82, 5, 'AUTH with success, which is a server’s to say', packet(0xf0)],
  ['MQTT-3.15.2-1', 0x82, 5, 'reason code 0x80 in AUTH', packet(0xf0, 0x80, properties(0x15, field('m')))],
  ['MQTT-3.15.2.2.2', 0x82, 5, 'AUTH without a method', packet(0xf0, 0x18, none)],
  [
    'MQTT-3.15.2.2.2',
    0x82,
    5,
    'AUTH with data and no method',
    packet(0xf0, 0x18, properties(0x16, field('d'))),
  ],
]

const chapters: Record<string, Row[]> = {
  'fixed header': fixedHeader,
  'fields of every packet': fields,
  properties: propertyRows,
  CONNECT: connectRows,
  PUBLISH: publishRows,
  'acknowledgements, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT, AUTH': otherRows,
}

describe.each(Object.entries(chapters))('refused: %s', (_, rows) => {
  const named = rows.map(
    (row) => [`[${row[0]}] ${row[3]}${row[2] === undefined ? '' : `, version ${row[2]}`}`, row] as const,
  )
  it.each(named)('%s', (_name, row) => {
    const { reasonCode, rule } = violation(row)
    expect(rule).toBe(row[0])
    expect(reasonCode).toBe(row[1])
  })

  it.each(named)('%s: whatever way it is cut, and nothing behind it is decoded', (_name, row) => {
    const expected = decode(chunksOf(row, [row[4]]))
    const behind = packet(0xc0)
    for (let at = 1; at < row[4].length; at++) {
      const cut = [row[4].subarray(0, at), row[4].subarray(at), behind]
      expect(decode(chunksOf(row, cut)), `cut at ${at}`).toEqual(expected)
    }
    const single = Array.from(row[4], (byte) => Buffer.from([byte]))
    expect(decode(chunksOf(row, [...single, behind]))).toEqual(expected)
  })
})

it('shows every rule of the table broken', () => {
  const shown = new Set(Object.values(chapters).flatMap((rows) => rows.map((row) => violation(row).detail)))
  // MQTT 5 lets a password stand alone: that rule is shown by 3.1.1.
  const missing = Object.values(wireRules).filter((rule) => !shown.has(rule.detail))
  expect(missing).toEqual([])
})

describe('what a refused CONNECT can be answered with', () => {
  const versionOf = (bytesOfConnect: Buffer) => violation(['', 0, undefined, '', bytesOfConnect]).version

  it('[MQTT-3.1.2-2] names the version of a CONNECT that was understood so far', () => {
    expect(versionOf(connectWith(5, 0x03, none, field('c')))).toBe(5)
    expect(versionOf(connectWith(4, 0x03, none, field('c')))).toBe(4)
    expect(versionOf(connectWith(3, 0x03, none, field('c')))).toBe(3)
  })

  it('[MQTT-3.1.1/3.1.2-2] [MQTT-3.1.2-2] names the closest version where that of the client is not supported', () => {
    expect(versionOf(packet(0x10, field('MQTT'), 6))).toBe(5)
    expect(versionOf(packet(0x10, field('MQTT'), 3))).toBe(4)
    expect(versionOf(packet(0x10, field('MQIsdp'), 4))).toBe(3)
  })

  it('[MQTT-3.1.2-1] names none for a peer that does not speak MQTT', () => {
    expect(versionOf(packet(0x10, field('AMQP'), 0))).toBeUndefined()
    expect(versionOf(packet(0xc0))).toBeUndefined()
  })
})

function chunksOf(row: Row, chunks: Buffer[]): Buffer[] {
  return row[2] === undefined ? chunks : [connect(row[2]), ...chunks]
}

/** The violation that ends the row's bytes; nothing else comes of them. */
function violation(row: Row): WireViolation {
  const seen = decode(chunksOf(row, [row[4]]))
  const last = seen.at(-1)
  expect(seen).toHaveLength(row[2] === undefined ? 1 : 2)
  if (last?.type !== 'violation') throw new Error(`not refused: ${row[3]}`)
  return last
}
