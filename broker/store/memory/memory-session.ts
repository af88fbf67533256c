import type { GatewayError } from '../../contract/errors.js'
import type { Message } from '../../contract/message.js'
import type { QueueEntry, ReadLimit, SessionRecord, StoredSession, WriteDone } from '../../contract/store.js'
import type { Delivery, Subscription } from '../../contract/subscription.js'
import { sessionTaken } from '../failures.js'
import { promised } from '../promised.js'
import { RELEASED_DELIVERY, SessionQueue, type EntryTraits } from '../session-queue.js'
import { subscriptionKey } from '../subscription-key.js'

interface Entry {
  readonly delivery: Delivery
  readonly message: Message | undefined
}

const RELEASED: Entry = { delivery: RELEASED_DELIVERY, message: undefined }

const traits: EntryTraits<Entry> = {
  size: (entry) => entry.message?.payload.length ?? 0,
  released: (entry) => entry.message === undefined,
  expired: (entry, now) => entry.message?.expired(now) ?? false,
}

/** What a handle needs of its store. */
interface SessionHost {
  refusal(): GatewayError | undefined
  enqueue(session: MemorySession, message: Message, delivery: Delivery): number | undefined
  read(session: MemorySession, afterSequence: number, limit: ReadLimit): readonly QueueEntry[]
}

/** What the store keeps of one session, whoever has it open. */
export class MemorySession {
  readonly queue = new SessionQueue<Entry>(traits)
  readonly subscriptions = new Map<string, Subscription>()
  readonly incoming = new Set<number>()
  expiryInterval = 0
  expiresAt: number | undefined
  /** The handle whose writes count. */
  owner: MemoryStoredSession | undefined

  constructor(readonly clientId: string) {}

  record(): SessionRecord {
    return {
      clientId: this.clientId,
      subscriptions: [...this.subscriptions.values()],
      expiryInterval: this.expiryInterval,
      expiresAt: this.expiresAt,
    }
  }
}

/** The session in the hands of one connection. */
export class MemoryStoredSession implements StoredSession {
  constructor(
    private readonly store: SessionHost,
    private readonly session: MemorySession,
    readonly present: boolean,
  ) {}

  get clientId(): string {
    return this.session.clientId
  }

  get subscriptions(): readonly Subscription[] {
    return [...this.session.subscriptions.values()]
  }

  get incoming(): ReadonlySet<number> {
    return this.session.incoming
  }

  get settledUpTo(): number {
    return this.session.queue.first - 1
  }

  get queuedUpTo(): number {
    return this.session.queue.next - 1
  }

  get queued(): number {
    return this.session.queue.size
  }

  subscribe(subscriptions: readonly Subscription[]): Promise<void> {
    return this.write(({ subscriptions: stored }) => {
      for (const subscription of subscriptions) stored.set(subscriptionKey(subscription), subscription)
    })
  }

  unsubscribe(subscriptions: readonly Pick<Subscription, 'filter' | 'share'>[]): Promise<void> {
    return this.write(({ subscriptions: stored }) => {
      for (const subscription of subscriptions) stored.delete(subscriptionKey(subscription))
    })
  }

  setExpiryInterval(seconds: number): Promise<void> {
    return this.write((session) => {
      session.expiryInterval = seconds
    })
  }

  enqueue(
    message: Message,
    delivery: Delivery,
    done: (error: GatewayError | undefined, sequence: number | undefined) => void,
  ): void {
    const refused = this.refusal()
    if (refused === undefined) done(undefined, this.store.enqueue(this.session, message, delivery))
    else done(refused, undefined)
  }

  read(afterSequence: number, limit: ReadLimit): Promise<readonly QueueEntry[]> {
    return promised(() => this.store.read(this.session, afterSequence, limit))
  }

  settle(sequence: number, done: WriteDone): void {
    const refused = this.refusal()
    if (refused === undefined) this.session.queue.delete(sequence)
    done(refused)
  }

  release(sequence: number, done: WriteDone): void {
    const refused = this.refusal()
    if (refused === undefined) {
      this.session.queue.replace(sequence, RELEASED)
    }
    done(refused)
  }

  forgetIncoming(packetId: number, done: WriteDone): void {
    const refused = this.refusal()
    if (refused === undefined) this.session.incoming.delete(packetId)
    done(refused)
  }

  close(expiresAt: number | undefined): Promise<void> {
    return this.write((session) => {
      session.expiresAt = expiresAt
    })
  }

  private refusal(): GatewayError | undefined {
    return this.session.owner === this ? this.store.refusal() : sessionTaken(this.clientId)
  }

  private write(task: (session: MemorySession) => void): Promise<void> {
    return promised(() => {
      const refused = this.refusal()
      if (refused !== undefined) throw refused
      task(this.session)
    })
  }
}
