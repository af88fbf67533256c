import type { Message } from '../../contract/message.js'
import { pack, type Packed } from './message-pack.js'

/**
 * The operations of the script, packed when they are called: what is kept of a message is copied then, straight
 * from the buffer that the socket read into. Their meaning is in `lua/`.
 */

/** A message as it is queued: its uid, its bytes, and what the bounds and the expiry have to know. */
export type QueuedMessage = readonly [
  uid: string,
  bytes: Buffer,
  payloadBytes: number,
  expiresAt: number | false,
  lifetimeMs: number | false,
]

/** Client id and encoded delivery in turns. */
export type Recipients = readonly (string | Buffer)[]

export type RetainedChange = readonly [
  topic: string,
  value: Buffer | false,
  payloadBytes: number,
  expiresAt: number | false,
]

export type Incoming = readonly [clientId: string, epoch: number, packetId: number]

/**
 * How much longer than its message a body is kept, milliseconds. Sending that was begun in time goes on behind the
 * expiry [MQTT-4.3.3-7]; and the clocks of a node and of Redis may differ. A receiver that stays away for longer
 * than a day gets no more of it.
 */
const BODY_GRACE_MS = 86_400_000

export function queuedMessage(uid: string, bytes: Buffer, message: Message, now: number): QueuedMessage {
  const { expiresAt, payload } = message
  if (expiresAt === undefined) return [uid, bytes, payload.length, false, false]
  return [uid, bytes, payload.length, expiresAt, Math.max(0, Math.ceil(expiresAt - now)) + BODY_GRACE_MS]
}

export const operations = {
  open: (id: string, clean: boolean, interval: number, evenExpired: boolean) =>
    pack(['open', id, clean, interval, evenExpired]),
  discard: (id: string, onlyExpired: boolean) => pack(['discard', id, onlyExpired]),
  subscribe: (id: string, epoch: number, fields: readonly Packed[]) => pack(['subscribe', id, epoch, fields]),
  unsubscribe: (id: string, epoch: number, keys: readonly string[]) => pack(['unsubscribe', id, epoch, keys]),
  interval: (id: string, epoch: number, seconds: number) => pack(['interval', id, epoch, seconds]),
  close: (id: string, epoch: number, expiresAt: number | undefined, isShared: boolean) =>
    pack(['close', id, epoch, expiresAt ?? false, isShared]),
  claim: (id: string) => pack(['claim', id]),
  yield: (id: string, epoch: number) => pack(['yield', id, epoch]),
  enqueue: (id: string, epoch: number, message: QueuedMessage, delivery: Buffer) =>
    pack(['enqueue', id, epoch, message, delivery]),
  settle: (id: string, epoch: number, sequence: number) => pack(['settle', id, epoch, sequence]),
  release: (id: string, epoch: number, sequence: number) => pack(['release', id, epoch, sequence]),
  forget: (id: string, epoch: number, packetId: number) => pack(['forget', id, epoch, packetId]),
  purge: (id: string, born: number, sequences: readonly number[]) => pack(['purge', id, born, sequences]),
  accept: (
    message: QueuedMessage,
    recipients: Recipients,
    change: RetainedChange | false,
    incoming: Incoming | false,
    will: string | false,
  ) => pack(['accept', message, recipients, change, incoming, will]),
  origin: (incoming: Incoming | false, will: string | false) => pack(['origin', incoming, will]),
  unretain: (topic: string) => pack(['unretain', topic]),
  intend: (uid: string, intent: Buffer, incoming: Incoming | false, will: string | false) =>
    pack(['intend', uid, intent, incoming, will]),
  enlist: (message: QueuedMessage, recipients: Recipients, change: RetainedChange | false) =>
    pack(['enlist', message, recipients, change]),
  accepted: (uid: string, incoming: readonly [clientId: string, packetId: number] | false) =>
    pack(['accepted', uid, incoming]),
  unmark: (uid: string) => pack(['unmark', uid]),
  putWill: (id: string, will: Buffer, update: boolean) => pack(['putWill', id, will, update]),
  deleteWill: (id: string) => pack(['deleteWill', id]),
  fence: (node: string) => pack(['fence', node]),
  takeSessions: (node: string) => pack(['takeSessions', node]),
  takeIntents: (node: string) => pack(['takeIntents', node]),
  takeWill: (from: string, id: string) => pack(['takeWill', from, id]),
  freeClaims: (node: string) => pack(['freeClaims', node]),
  claimExpired: (most: number) => pack(['claimExpired', most]),
}
