import { qosOf, readMessage, writeMessage } from '../contract/message-bytes.js'
import type { Message } from '../contract/message.js'
import type { StoredWill } from '../contract/store.js'
import type { Delivery, Subscription } from '../contract/subscription.js'
import { RELEASED_DELIVERY } from './session-queue.js'
import { DamagedValue, ValueReader, type ValueWriter } from './bytes.js'

/**
 * The values of the store, each with an encoder and its decoder. Absent fields cost a bit. A decoder throws
 * `DamagedValue` for whatever its encoder cannot have written.
 */

export interface SessionValue {
  readonly clientId: string
  readonly expiryInterval: number
  readonly expiresAt: number | undefined
}

export function encodeSession(to: ValueWriter, session: SessionValue): Buffer {
  to.start().text(session.clientId).number(session.expiryInterval)
  optionalNumber(to, session.expiresAt)
  return to.finish()
}

export function decodeSession(value: Buffer): SessionValue {
  const from = new ValueReader(value)
  const session = {
    clientId: from.text(),
    expiryInterval: from.number(),
    expiresAt: readOptionalNumber(from),
  }
  from.finish()
  return session
}

/** Where the numbering of a queue goes on, and the numbers of the store itself. */
export function encodeNumber(to: ValueWriter, value: number): Buffer {
  return to.start().number(value).finish()
}

export function decodeNumber(value: Buffer): number {
  const from = new ValueReader(value)
  const number = from.number()
  from.finish()
  return number
}

export function encodeSubscription(to: ValueWriter, subscription: Subscription): Buffer {
  const { qos, noLocal, retainAsPublished, retainHandling, share, identifier } = subscription
  const flags =
    qos | (Number(noLocal) << 2) | (Number(retainAsPublished) << 3) | (retainHandling << 4) | bit(share, 6)
  to.start().byte(flags).text(subscription.filter)
  if (share !== undefined) to.text(share)
  optionalNumber(to, identifier)
  return to.finish()
}

export function decodeSubscription(value: Buffer): Subscription {
  const from = new ValueReader(value)
  const flags = from.byte()
  const retainHandling = (flags >> 4) & 3
  if (retainHandling === 3) throw new DamagedValue('unknown retain handling')
  const subscription = {
    qos: qosOf(flags, from),
    noLocal: (flags & 4) !== 0,
    retainAsPublished: (flags & 8) !== 0,
    retainHandling: retainHandling as Subscription['retainHandling'],
    filter: from.text(),
    share: (flags & 64) === 0 ? undefined : from.text(),
    identifier: readOptionalNumber(from),
  }
  from.finish()
  return subscription
}

export function encodeMessage(to: ValueWriter, message: Message): Buffer {
  return writeMessage(to.start(), message).finish()
}

export function decodeMessage(value: Buffer): Message {
  const from = new ValueReader(value)
  const message = readMessage(from)
  from.finish()
  return message
}

export function encodeWill(to: ValueWriter, will: StoredWill): Buffer {
  to.start().number(will.delayInterval)
  optionalNumber(to, will.dueAt)
  return writeMessage(to, will.message).finish()
}

export function decodeWill(value: Buffer): StoredWill {
  const from = new ValueReader(value)
  const will = { delayInterval: from.number(), dueAt: readOptionalNumber(from), message: readMessage(from) }
  from.finish()
  return will
}

/**
 * An entry of a queue. What the index of the queue needs comes first, so that opening a store reads no further:
 * kind, payload size, expiry, number of the body.
 */
export type EntryValue = EntryHead & { readonly delivery: Delivery; readonly message: Message | undefined }

export interface EntryHead {
  readonly kind: 'inline' | 'shared' | 'released'
  readonly size: number
  readonly expiresAt: number | undefined
  /** Number of the body of a shared one, else 0. */
  readonly body: number
}

const ENTRY_KINDS = ['inline', 'shared', 'released'] as const

export function encodeInlineEntry(to: ValueWriter, message: Message, delivery: Delivery): Buffer {
  writeEntryHead(to, 0, message)
  return writeMessage(writeDelivery(to, delivery), message).finish()
}

export function encodeSharedEntry(
  to: ValueWriter,
  message: Message,
  body: number,
  delivery: Delivery,
): Buffer {
  writeEntryHead(to, 1, message).number(body)
  return writeDelivery(to, delivery).finish()
}

export function encodeReleasedEntry(to: ValueWriter): Buffer {
  to.start().byte(2).number(0)
  optionalNumber(to, undefined)
  return writeDelivery(to, RELEASED_DELIVERY).finish()
}

export function decodeEntryHead(value: Buffer): EntryHead {
  return readEntryHead(new ValueReader(value, false))
}

/** `message` stays undefined for a shared entry: it is in the body. */
export function decodeEntry(value: Buffer): EntryValue {
  const from = new ValueReader(value)
  const { kind, size, expiresAt, body } = readEntryHead(from)
  const delivery = readDelivery(from)
  const message = kind === 'inline' ? readMessage(from) : undefined
  from.finish()
  return { kind, size, expiresAt, body, delivery, message }
}

export function encodeDelivery(to: ValueWriter, delivery: Delivery): Buffer {
  return writeDelivery(to.start(), delivery).finish()
}

export function decodeDelivery(value: Buffer): Delivery {
  const from = new ValueReader(value)
  const delivery = readDelivery(from)
  from.finish()
  return delivery
}

function writeEntryHead(to: ValueWriter, kind: 0 | 1, message: Message): ValueWriter {
  to.start().byte(kind).number(message.payload.length)
  return optionalNumber(to, message.expiresAt)
}

function readEntryHead(from: ValueReader): EntryHead {
  const kind = ENTRY_KINDS[from.byte()]
  if (kind === undefined) throw new DamagedValue('an entry of an unknown kind')
  const size = from.number()
  const expiresAt = readOptionalNumber(from)
  return { kind, size, expiresAt, body: kind === 'shared' ? from.number() : 0 }
}

function writeDelivery(to: ValueWriter, delivery: Delivery): ValueWriter {
  const { qos, retain, identifiers, sharedFilter } = delivery
  to.byte(qos | (Number(retain) << 2) | bit(sharedFilter, 3))
  to.number(identifiers.length)
  for (const identifier of identifiers) to.number(identifier)
  if (sharedFilter !== undefined) to.text(sharedFilter)
  return to
}

function readDelivery(from: ValueReader): Delivery {
  const flags = from.byte()
  const identifiers: number[] = []
  for (let left = from.number(); left > 0; left--) identifiers.push(from.number())
  const sharedFilter = (flags & 8) === 0 ? undefined : from.text()
  return { qos: qosOf(flags, from), retain: (flags & 4) !== 0, identifiers, sharedFilter }
}

/** 0 for undefined, else the value above it. */
function optionalNumber(to: ValueWriter, value: number | undefined): ValueWriter {
  return to.number(value === undefined ? 0 : value + 1)
}

function readOptionalNumber(from: ValueReader): number | undefined {
  const number = from.number()
  return number === 0 ? undefined : number - 1
}

function bit(value: unknown, position: number): number {
  return value === undefined ? 0 : 1 << position
}
