import type { Clock } from '../../contract/clock.js'
import type { GatewayError } from '../../contract/errors.js'
import type { StoreEvents } from '../../contract/events.js'
import type { Message } from '../../contract/message.js'
import type { Readiness } from '../../contract/service.js'
import type {
  Accept,
  AcceptDone,
  OpenOptions,
  QueueEntry,
  ReadLimit,
  SessionRecord,
  Store,
  StoredSession,
  StoredWill,
  StoreLimits,
} from '../../contract/store.js'
import type { Delivery } from '../../contract/subscription.js'
import { retainedFull, sessionTaken, storeClosed } from '../failures.js'
import { iterated, promised } from '../promised.js'
import { retainedChunks, retainedFits, RetainedMessages } from '../retained.js'
import { MemorySession, MemoryStoredSession } from './memory-session.js'

const NO_SEQUENCES: readonly undefined[] = []

/**
 * Keeps everything in the memory of the process and forgets it at `close`. Nothing waits: every write is done,
 * and has called back, when the call returns.
 */
export class MemoryStore implements Store {
  readonly kind = 'memory'
  private readonly sessionsById = new Map<string, MemorySession>()
  private readonly willsById = new Map<string, StoredWill>()
  private retainedMessages = new RetainedMessages()
  private opened = false

  constructor(
    private readonly limits: StoreLimits,
    private readonly events: StoreEvents,
    private readonly clock: Clock,
  ) {}

  open(): Promise<void> {
    this.opened = true
    this.events.opened(this.kind, { sessions: 0, retained: 0, milliseconds: 0 })
    return Promise.resolve()
  }

  close(): Promise<void> {
    this.opened = false
    this.sessionsById.clear()
    this.willsById.clear()
    this.retainedMessages = new RetainedMessages()
    return Promise.resolve()
  }

  readiness(): Readiness {
    return this.opened ? { ready: true } : { ready: false, reason: storeClosed().message }
  }

  sessions(): AsyncIterable<SessionRecord> {
    return iterated(() => this.whenOpen(() => [...this.sessionsById.values()].map((s) => s.record())))
  }

  openSession(clientId: string, options: OpenOptions): Promise<StoredSession> {
    return promised(() =>
      this.whenOpen(() => {
        const stored = this.sessionsById.get(clientId)
        const expired = stored?.expiresAt !== undefined && stored.expiresAt <= this.clock.now()
        const over = expired && options.evenExpired !== true
        const kept = options.cleanStart || over ? undefined : stored
        if (stored !== undefined && kept === undefined) this.discard(stored)
        const session = kept ?? new MemorySession(clientId)
        session.expiryInterval = options.expiryInterval
        session.expiresAt = undefined
        session.owner = new MemoryStoredSession(this, session, kept !== undefined)
        this.sessionsById.set(clientId, session)
        return session.owner
      }),
    )
  }

  discardSession(clientId: string): Promise<void> {
    return promised(() =>
      this.whenOpen(() => {
        const session = this.sessionsById.get(clientId)
        if (session !== undefined) this.discard(session)
      }),
    )
  }

  accept({ message, recipients, retain, incoming, will }: Accept, done: AcceptDone): void {
    let refused = this.refusal()
    let origin: MemorySession | undefined
    if (incoming !== undefined) {
      origin = this.ownedBy(incoming.session)
      if (origin === undefined) refused ??= sessionTaken(incoming.session.clientId)
    }
    if (refused === undefined && retain && !this.retain(message)) refused = retainedFull()
    if (refused !== undefined) {
      done(refused, NO_SEQUENCES)
      return
    }
    if (incoming !== undefined) origin?.incoming.add(incoming.packetId)
    if (will !== undefined) this.willsById.delete(will)
    if (recipients.length === 0) {
      done(undefined, NO_SEQUENCES)
      return
    }
    const sequences: (number | undefined)[] = []
    for (const { clientId, delivery } of recipients) {
      const session = this.sessionsById.get(clientId)
      sequences.push(session === undefined ? undefined : this.enqueue(session, message, delivery))
    }
    done(undefined, sequences)
  }

  retained(filter: string): AsyncIterable<readonly Message[]> {
    return iterated(() =>
      this.whenOpen(() =>
        retainedChunks(this.retainedMessages, filter, this.clock.now(), (topic) =>
          this.retainedMessages.delete(topic),
        ),
      ),
    )
  }

  get retainedCount(): number {
    return this.retainedMessages.count
  }

  putWill(clientId: string, will: StoredWill): Promise<void> {
    return promised(() =>
      this.whenOpen(() => {
        will.message.own()
        this.willsById.set(clientId, will)
      }),
    )
  }

  deleteWill(clientId: string): Promise<void> {
    return promised(() =>
      this.whenOpen(() => {
        this.willsById.delete(clientId)
      }),
    )
  }

  wills(): AsyncIterable<readonly [clientId: string, will: StoredWill]> {
    return iterated(() => this.whenOpen(() => [...this.willsById]))
  }

  /** Why no write is taken; undefined: writes are taken. For the handles. */
  refusal(): GatewayError | undefined {
    return this.opened ? undefined : storeClosed()
  }

  /** Queues a message as far as the bounds let it, for `accept` and the handles. */
  enqueue(session: MemorySession, message: Message, delivery: Delivery): number | undefined {
    const { clientId, queue } = session
    let evicted = 0
    let expired = 0
    const admitted = queue.makeRoom(message.payload.length, this.limits, this.clock.now(), (_s, _e, why) => {
      if (why === 'evicted') evicted++
      else expired++
    })
    if (expired > 0) this.events.messagesExpired(clientId, expired)
    if (!admitted) evicted++
    if (evicted > 0) this.events.queueDropped(clientId, this.limits.whenFull, evicted)
    return admitted ? queue.push({ delivery, message: message.kept() }) : undefined
  }

  read(session: MemorySession, afterSequence: number, limit: ReadLimit): readonly QueueEntry[] {
    return this.whenOpen(() => {
      const entries: QueueEntry[] = []
      if (this.sessionsById.get(session.clientId) !== session) return entries
      const now = this.clock.now()
      const expired: number[] = []
      let bytes = 0
      for (const [sequence, { delivery, message }] of session.queue.after(afterSequence)) {
        if (message?.expired(now) === true && sequence > (limit.startedUpTo ?? 0)) {
          expired.push(sequence)
          continue
        }
        bytes += message?.payload.length ?? 0
        if (entries.length >= limit.messages || (entries.length > 0 && bytes > limit.bytes)) break
        entries.push({ sequence, delivery, message })
      }
      for (const sequence of expired) session.queue.delete(sequence)
      if (expired.length > 0) this.events.messagesExpired(session.clientId, expired.length)
      return entries
    })
  }

  private retain(message: Message): boolean {
    const retained = this.retainedMessages
    if (message.payload.length === 0) {
      retained.delete(message.topic)
      return true
    }
    const fits = (): boolean =>
      retainedFits(message, retained.get(message.topic), retained.count, retained.bytes, this.limits)
    if (!fits()) {
      for (const topic of retained.expired(this.clock.now())) retained.delete(topic)
      if (!fits()) return false
    }
    retained.set(message)
    return true
  }

  private discard(session: MemorySession): void {
    session.owner = undefined
    this.sessionsById.delete(session.clientId)
  }

  private ownedBy(handle: StoredSession): MemorySession | undefined {
    const session = this.sessionsById.get(handle.clientId)
    return session !== undefined && session.owner === handle ? session : undefined
  }

  private whenOpen<T>(task: () => T): T {
    if (!this.opened) throw storeClosed()
    return task()
  }
}
