import { describe, expect, it } from 'vitest'
import { encodeAck } from './ack-encoder.js'
import { encodeConnAck } from './connack-encoder.js'
import { encodeAuth, encodeDisconnect, PINGRESP } from './control-encoder.js'
import type { ConnAckProperties, ReceiverLimits } from './packet.js'
import { connectReturnCode, ReasonCode, subscribeReturnCode } from './reason-codes.js'
import { parseAsClient } from './reference-parser-fixture.js'
import { encodeSubAck, encodeUnsubAck } from './suback-encoder.js'

const hex = (bytes: Buffer) => bytes.toString('hex')
const parsed = (bytes: Buffer, version = 5) => {
  const packets = parseAsClient(bytes, version)
  expect(packets).toHaveLength(1)
  return packets[0]
}
const upTo = (maximumPacketSize: number): ReceiverLimits => ({ maximumPacketSize, problemInformation: true })
const noProblemInformation: ReceiverLimits = { maximumPacketSize: 1000, problemInformation: false }
const informing = { reasonString: 'because', userProperties: [['a', '1'], ['a', '2']] } as const // prettier-ignore

describe('CONNACK', () => {
  it('[MQTT-3.2.2-1] [MQTT-3.2.2-3] carries Session Present in bit 0 of its flags alone', () => {
    const success = { sessionPresent: true, reasonCode: ReasonCode.Success }
    expect(hex(encodeConnAck(success, 5))).toBe('2003010000')
    expect(hex(encodeConnAck(success, 4))).toBe('20020100')
    expect(hex(encodeConnAck(success, 3))).toBe('20020000')
    expect(hex(encodeConnAck({ ...success, sessionPresent: false }, 4))).toBe('20020000')
  })

  it('[MQTT-3.2.2-6] [MQTT-3.1.1/3.2.2-4] has Session Present 0 with a failure', () => {
    const failure = { sessionPresent: true, reasonCode: ReasonCode.NotAuthorized }
    expect(hex(encodeConnAck(failure, 5))).toBe('2003008700')
    expect(hex(encodeConnAck(failure, 4))).toBe('20020005')
  })

  it('carries every property', () => {
    const properties: ConnAckProperties = {
      ...informing,
      sessionExpiryInterval: 0xffff_ffff,
      receiveMaximum: 65_535,
      maximumQoS: 1,
      retainAvailable: false,
      maximumPacketSize: 262_144,
      assignedClientIdentifier: 'auto-é',
      topicAliasMaximum: 32,
      wildcardSubscriptionAvailable: true,
      subscriptionIdentifiersAvailable: true,
      sharedSubscriptionAvailable: true,
      serverKeepAlive: 60,
      responseInformation: 'replies/',
      serverReference: 'other:1883',
      authenticationMethod: 'SCRAM-SHA-256',
      authenticationData: Buffer.from([0, 1]),
    }
    expect(parsed(encodeConnAck({ sessionPresent: false, reasonCode: 0, properties }, 5))).toMatchObject({
      cmd: 'connack',
      reasonCode: 0,
      sessionPresent: false,
      properties: {
        sessionExpiryInterval: 0xffff_ffff,
        receiveMaximum: 65_535,
        maximumQoS: 1,
        retainAvailable: false,
        maximumPacketSize: 262_144,
        assignedClientIdentifier: 'auto-é',
        topicAliasMaximum: 32,
        wildcardSubscriptionAvailable: true,
        subscriptionIdentifiersAvailable: true,
        sharedSubscriptionAvailable: true,
        serverKeepAlive: 60,
        responseInformation: 'replies/',
        serverReference: 'other:1883',
        authenticationMethod: 'SCRAM-SHA-256',
        authenticationData: Buffer.from([0, 1]),
        reasonString: 'because',
        userProperties: { a: ['1', '2'] },
      },
    })
  })

  it('[MQTT-3.2.2-19] [MQTT-3.2.2-20] leaves out what would take it beyond the maximum packet size', () => {
    const fields = { sessionPresent: false, reasonCode: 0, properties: { ...informing, receiveMaximum: 5 } }
    const full = encodeConnAck(fields, 5)
    expect(encodeConnAck(fields, 5, upTo(full.length))).toEqual(full)
    const shorter = encodeConnAck(fields, 5, upTo(full.length - 1))
    expect(parsed(shorter)).toMatchObject({ properties: { reasonString: 'because', receiveMaximum: 5 } })
    expect(parsed(shorter)).not.toHaveProperty('properties.userProperties')
    const shortest = encodeConnAck(fields, 5, upTo(shorter.length - 1))
    expect(hex(shortest)).toBe('2006000003210005')
  })

  it('[MQTT-3.1.1/3.2.2-6] has no return code for what MQTT 3.1.1 cannot tell', () => {
    for (const code of [ReasonCode.MalformedPacket, ReasonCode.ProtocolError, ReasonCode.PacketTooLarge])
      expect(connectReturnCode(code)).toBeUndefined()
  })

  it('translates reason codes to the return codes of MQTT 3.1.1 (3.1.1, 3.2.2.3)', () => {
    const translated = [
      [ReasonCode.Success, 0],
      [ReasonCode.UnsupportedProtocolVersion, 1],
      [ReasonCode.ClientIdentifierNotValid, 2],
      [ReasonCode.ServerUnavailable, 3],
      [ReasonCode.ServerBusy, 3],
      [ReasonCode.QuotaExceeded, 3],
      [ReasonCode.BadUserNameOrPassword, 4],
      [ReasonCode.NotAuthorized, 5],
      [ReasonCode.Banned, 5],
    ] as const
    for (const [reasonCode, returnCode] of translated) {
      expect(encodeConnAck({ sessionPresent: false, reasonCode }, 4)[3]).toBe(returnCode)
    }
  })
})

describe('PUBACK, PUBREC, PUBREL, PUBCOMP', () => {
  const types = [
    ['puback', '40', ReasonCode.QuotaExceeded],
    ['pubrec', '50', ReasonCode.QuotaExceeded],
    ['pubrel', '62', ReasonCode.PacketIdentifierNotFound],
    ['pubcomp', '70', ReasonCode.PacketIdentifierNotFound],
  ] as const

  it.each(types)('[MQTT-2.2.1-5] %s is four bytes with success, in every version', (type, first) => {
    for (const version of [3, 4, 5] as const)
      expect(hex(encodeAck(type, 0x1234, 0, version))).toBe(`${first}021234`)
  })

  it.each(types)('%s has reason code and properties in MQTT 5 alone', (type, first, reasonCode) => {
    expect(hex(encodeAck(type, 1, reasonCode, 5))).toBe(`${first}030001${reasonCode.toString(16)}`)
    expect(hex(encodeAck(type, 1, reasonCode, 4))).toBe(`${first}020001`)
    expect(hex(encodeAck(type, 1, reasonCode, 4, informing))).toBe(`${first}020001`)
    const full = encodeAck(type, 1, reasonCode, 5, informing)
    expect(parsed(full)).toMatchObject({
      cmd: type,
      messageId: 1,
      reasonCode,
      properties: { reasonString: 'because', userProperties: { a: ['1', '2'] } },
    })
  })

  it('[MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3] leaves out what would take it beyond the maximum packet size', () => {
    for (const [type, first, reasonCode] of types) {
      const full = encodeAck(type, 1, reasonCode, 5, informing)
      expect(encodeAck(type, 1, reasonCode, 5, informing, upTo(full.length))).toEqual(full)
      const shorter = encodeAck(type, 1, reasonCode, 5, informing, upTo(full.length - 1))
      expect(parsed(shorter)).toHaveProperty('properties.reasonString')
      expect(parsed(shorter)).not.toHaveProperty('properties.userProperties')
      expect(hex(encodeAck(type, 1, reasonCode, 5, informing, upTo(6)))).toBe(
        `${first}030001${reasonCode.toString(16)}`,
      )
      expect(hex(encodeAck(type, 1, 0, 5, informing, upTo(6)))).toBe(`${first}020001`)
    }
  })

  it('[MQTT-3.1.2-29] has neither without problem information', () => {
    expect(hex(encodeAck('puback', 1, 0x97, 5, informing, noProblemInformation))).toBe('4003000197')
  })
})

describe('SUBACK and UNSUBACK', () => {
  it('[MQTT-3.8.4-2] [MQTT-3.8.4-6] [MQTT-3.9.3-1] a reason code for each filter, in order', () => {
    expect(hex(encodeSubAck(7, [0, 2, 0x97, 1], 5))).toBe('9007000700000297' + '01')
    expect(hex(encodeSubAck(7, [0, 2, 1], 4))).toBe('90050007000201')
  })

  it('[MQTT-3.1.1/3.9.3-2] every failure is 0x80 in MQTT 3.1.1', () => {
    expect(hex(encodeSubAck(7, [0x87, 0x8f, 0x80], 4))).toBe('90050007808080')
    expect(subscribeReturnCode(0xa2)).toBe(0x80)
  })

  it('[MQTT-3.10.4-5] [MQTT-3.11.3-1] UNSUBACK has reason codes in MQTT 5 alone', () => {
    expect(hex(encodeUnsubAck(7, [0, 0x11], 5))).toBe('b0050007000011')
    expect(hex(encodeUnsubAck(7, [0, 0x11], 4))).toBe('b0020007')
    expect(hex(encodeUnsubAck(7, [0, 0x11], 3))).toBe('b0020007')
  })

  it('[MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1] [MQTT-3.11.2-2] leaves out what would take it beyond the maximum packet size', () => {
    for (const encode of [encodeSubAck, encodeUnsubAck]) {
      const full = encode(7, [0], 5, informing)
      expect(parsed(full)).toMatchObject({ properties: { reasonString: 'because' }, granted: [0] })
      expect(encode(7, [0], 5, informing, upTo(full.length))).toEqual(full)
      expect(encode(7, [0], 5, informing, upTo(7))).toEqual(encode(7, [0], 5))
    }
  })

  it('[MQTT-3.1.2-29] has neither without problem information', () => {
    expect(encodeSubAck(7, [0], 5, informing, noProblemInformation)).toEqual(encodeSubAck(7, [0], 5))
    expect(encodeUnsubAck(7, [0], 5, informing, noProblemInformation)).toEqual(encodeUnsubAck(7, [0], 5))
  })
})

describe('PINGRESP, DISCONNECT, AUTH', () => {
  it('[MQTT-3.12.4-1] PINGRESP is two bytes', () => {
    expect(hex(PINGRESP)).toBe('d000')
  })

  it('[MQTT-3.14.2-1] DISCONNECT carries reason code, reason string and server reference', () => {
    expect(hex(encodeDisconnect({ reasonCode: 0 }))).toBe('e000')
    expect(hex(encodeDisconnect({ reasonCode: 0x8e }))).toBe('e0028e00')
    const properties = { ...informing, serverReference: 'other:1883' }
    expect(parsed(encodeDisconnect({ reasonCode: 0x9c, properties }))).toMatchObject({
      cmd: 'disconnect',
      reasonCode: 0x9c,
      properties: {
        serverReference: 'other:1883',
        reasonString: 'because',
        userProperties: { a: ['1', '2'] },
      },
    })
  })

  it('[MQTT-3.14.2-3] [MQTT-3.14.2-4] DISCONNECT leaves out what would take it beyond the maximum packet size', () => {
    const fields = { reasonCode: 0x9c, properties: { ...informing, serverReference: 'x' } }
    expect(hex(encodeDisconnect(fields, upTo(12)))).toBe('e0069c041c000178')
  })

  it('[MQTT-3.1.2-29] DISCONNECT may have both without problem information', () => {
    const fields = { reasonCode: 0x8e, properties: informing }
    expect(encodeDisconnect(fields, noProblemInformation)).toEqual(encodeDisconnect(fields))
  })

  it('[MQTT-4.12.0-2] [MQTT-4.12.0-5] AUTH carries method and data', () => {
    const fields = {
      reasonCode: 0x18,
      authenticationMethod: 'SCRAM',
      authenticationData: Buffer.from('data'),
      reasonString: 'because',
    }
    expect(parsed(encodeAuth(fields))).toMatchObject({
      cmd: 'auth',
      reasonCode: 0x18,
      properties: {
        authenticationMethod: 'SCRAM',
        authenticationData: Buffer.from('data'),
        reasonString: 'because',
      },
    })
    const short = encodeAuth({ ...fields, reasonString: 'x'.repeat(100) }, upTo(50))
    expect(parsed(short)).not.toHaveProperty('properties.reasonString')
    expect(encodeAuth(fields, noProblemInformation)).toEqual(short)
  })
})

it('refuses a field that has no encoding, instead of writing a damaged packet', () => {
  const reasonString = 'x'.repeat(65_536)
  expect(() => encodeAck('puback', 1, 0x97, 5, { reasonString })).toThrow(RangeError)
})
