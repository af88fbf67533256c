import type { Subscription } from '../../contract/subscription.js'
import { SessionQueue, type EntryTraits } from '../session-queue.js'

/**
 * What stays in memory of a queued entry: 16 bytes for its place, and one object for all entries that share a
 * body. A number is the payload size of an inline entry without
 * expiry, or `RELEASED`.
 */
export type Slot = number | Body

export const RELEASED = -1

export interface Body {
  /** Under which the body is stored; 0: inline in its entry. */
  readonly number: number
  readonly size: number
  readonly expiresAt: number | undefined
  /** Entries that refer to it; the body goes with the last one. */
  references: number
}

/** The handle of a session, as the store sees it. */
export interface SessionOwner {
  /** Another object after the store has been read again. */
  session: LevelSession
  /** What the disk has of the session's subscriptions and packet identifiers. */
  restore(subscriptions: readonly Subscription[], incoming: readonly number[]): void
}

const traits: EntryTraits<Slot> = {
  size: (slot) => (typeof slot === 'number' ? Math.max(slot, 0) : slot.size),
  released: (slot) => slot === RELEASED,
  expired: isExpired,
}

export function isExpired(slot: Slot, now: number): boolean {
  return typeof slot !== 'number' && slot.expiresAt !== undefined && slot.expiresAt <= now
}

/** What is in memory of one stored session. Subscriptions and packet identifiers are, while it is open, in its handle. */
export class LevelSession {
  readonly queue = new SessionQueue<Slot>(traits)
  /** Entries below this sequence are on the disk, those above may be on their way. */
  committedNext = 1
  /** Next sequence as it is stored beside the queue. */
  storedNext = 1
  expiryInterval = 0
  expiresAt: number | undefined
  /** The handle whose writes count. */
  owner: SessionOwner | undefined
  /** Discarded, or replaced by what was read again from the disk. */
  gone = false

  constructor(
    /** Under which everything of the session is stored. */
    readonly number: number,
    readonly clientId: string,
  ) {}
}
