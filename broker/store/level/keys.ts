/**
 * The keys of the store: one letter for the kind, then numbers of six bytes, big-endian, so that LevelDB's order
 * of bytes is the order of numbers, across restarts too. A client identifier occurs in no key but that of its
 * will: everything of a session is under the session's own number, which is never used again while anything of
 * it is left.
 */

const KIND = {
  format: 0x46, // F -> format version
  session: 0x53, // S session -> client id, expiry
  subscription: 0x55, // U session, filter as the client wrote it -> subscription
  incoming: 0x49, // I session, packet identifier -> nothing
  entry: 0x51, // Q session, sequence -> entry of the queue
  numbering: 0x4e, // N session -> next sequence, where the last entry of the queue does not tell it
  body: 0x42, // B body -> message, for entries that share one
  discarded: 0x47, // G session -> nothing; what is left of a discarded session has yet to be cleared
  retained: 0x52, // R topic -> message
  will: 0x57, // W client id -> will
} as const

type Kind = keyof typeof KIND

/** 2^48 messages are enough for 8,900 years at a thousand a second. */
const NUMBER_BYTES = 6

export interface KeyRange {
  readonly gte: Buffer
  readonly lt: Buffer
}

export const formatKey = Buffer.of(KIND.format)
export const sessionKey = (session: number): Buffer => numbered('session', session)
export const numberingKey = (session: number): Buffer => numbered('numbering', session)
export const discardedKey = (session: number): Buffer => numbered('discarded', session)
export const bodyKey = (body: number): Buffer => numbered('body', body)
export const retainedKey = (topic: string): Buffer => named('retained', topic)
export const willKey = (clientId: string): Buffer => named('will', clientId)

export function entryKey(session: number, sequence: number): Buffer {
  const key = Buffer.allocUnsafe(1 + 2 * NUMBER_BYTES)
  key[0] = KIND.entry
  key.writeUIntBE(session, 1, NUMBER_BYTES)
  key.writeUIntBE(sequence, 1 + NUMBER_BYTES, NUMBER_BYTES)
  return key
}

export function incomingKey(session: number, packetId: number): Buffer {
  const key = Buffer.allocUnsafe(1 + NUMBER_BYTES + 2)
  key[0] = KIND.incoming
  key.writeUIntBE(session, 1, NUMBER_BYTES)
  key.writeUInt16BE(packetId, 1 + NUMBER_BYTES)
  return key
}

export function subscriptionKeyOf(session: number, filter: string): Buffer {
  return Buffer.concat([numbered('subscription', session), Buffer.from(filter)])
}

/** All keys of a kind. */
export function allOf(kind: Kind): KeyRange {
  return { gte: Buffer.of(KIND[kind]), lt: Buffer.of(KIND[kind] + 1) }
}

/** All keys of a kind that belong to a session. */
export function allOfSession(kind: Kind, session: number): KeyRange {
  return { gte: numbered(kind, session), lt: numbered(kind, session + 1) }
}

/** The number behind the kind: of the session or the body. */
export function numberOf(key: Buffer): number {
  return key.length < 1 + NUMBER_BYTES ? 0 : key.readUIntBE(1, NUMBER_BYTES)
}

/** The sequence of an entry. */
export function sequenceOf(key: Buffer): number {
  return key.length < 1 + 2 * NUMBER_BYTES ? 0 : key.readUIntBE(1 + NUMBER_BYTES, NUMBER_BYTES)
}

export function packetIdOf(key: Buffer): number {
  return key.length < 1 + NUMBER_BYTES + 2 ? 0 : key.readUInt16BE(1 + NUMBER_BYTES)
}

/** The text behind the kind: topic or client identifier. */
export function nameOf(key: Buffer): string {
  return key.toString('utf8', 1)
}

/** A key as an operator may read it. */
export function describeKey(key: Buffer): string {
  return `${String.fromCharCode(key[0] ?? 0)}:${key.toString('hex', 1)}`
}

function numbered(kind: Kind, number: number): Buffer {
  const key = Buffer.allocUnsafe(1 + NUMBER_BYTES)
  key[0] = KIND[kind]
  key.writeUIntBE(number, 1, NUMBER_BYTES)
  return key
}

function named(kind: Kind, name: string): Buffer {
  const key = Buffer.allocUnsafe(1 + Buffer.byteLength(name))
  key[0] = KIND[kind]
  key.write(name, 1)
  return key
}
