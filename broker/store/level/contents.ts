import type { Clock } from '../../contract/clock.js'
import type { StoreEvents } from '../../contract/events.js'
import type { Message } from '../../contract/message.js'
import type { StoreLimits } from '../../contract/store.js'
import type { Delivery } from '../../contract/subscription.js'
import type { LevelBatch } from './batch.js'
import type { ValueWriter } from '../bytes.js'
import { bodyKey, discardedKey, entryKey, sessionKey } from './keys.js'
import { LevelRetained } from './level-retained.js'
import { LevelSession, RELEASED, type Body, type SessionOwner, type Slot } from './level-session.js'
import type { Loaded } from './load.js'
import { encodeReleasedEntry, encodeSession, encodeSharedEntry } from '../values.js'

/**
 * What the store holds, as far as it is in memory, and the changes that writes make to it. A change is made here
 * and in the batch at the same time; should the batch fail, all of this is read again from the disk.
 */
export class LevelContents {
  sessions = new Map<string, LevelSession>()
  readonly retained: LevelRetained
  nextSession = 1
  nextBody = 1

  constructor(
    readonly limits: StoreLimits,
    readonly events: StoreEvents,
    readonly clock: Clock,
    readonly writer: ValueWriter,
  ) {
    this.retained = new LevelRetained(limits, () => clock.now())
  }

  /**
   * Goes on with what was read from the disk. Returns the handles that still have their sessions open; what they
   * know of subscriptions and packet identifiers has to be read again too.
   */
  adopt(loaded: Loaded): readonly SessionOwner[] {
    const handles: SessionOwner[] = []
    for (const [clientId, former] of this.sessions) {
      const session = loaded.sessions.get(clientId)
      const { owner } = former
      former.gone = true
      if (session?.number === former.number && owner !== undefined) {
        session.owner = owner
        owner.session = session
        handles.push(owner)
      }
    }
    this.sessions = loaded.sessions
    this.nextSession = Math.max(this.nextSession, loaded.nextSession)
    this.nextBody = Math.max(this.nextBody, loaded.nextBody)
    this.retained.restore(loaded.retained)
    return handles
  }

  createSession(clientId: string): LevelSession {
    const session = new LevelSession(this.nextSession++, clientId)
    this.sessions.set(clientId, session)
    return session
  }

  putSession(batch: LevelBatch, session: LevelSession): void {
    batch.put(sessionKey(session.number), encodeSession(this.writer, session))
  }

  /**
   * The session is gone with this batch. What is stored under its number is cleared afterwards: the mark says so
   * to the next start, should this process not come to it.
   */
  discard(batch: LevelBatch, session: LevelSession): void {
    session.gone = true
    session.owner = undefined
    this.sessions.delete(session.clientId)
    batch.del(sessionKey(session.number))
    batch.put(discardedKey(session.number), NOTHING)
    for (const [, slot] of session.queue.after(0)) this.unreference(batch, slot)
  }

  /** Queues a message whose entry is already encoded. Undefined: the bounds do not let it. */
  queueInline(batch: LevelBatch, session: LevelSession, message: Message, value: Buffer): number | undefined {
    const size = message.payload.length
    if (!this.makeRoom(batch, session, size)) return undefined
    const { expiresAt } = message
    const slot = expiresAt === undefined ? size : { number: 0, size, expiresAt, references: 1 }
    return this.append(batch, session, slot, value)
  }

  /** Queues messages that share a body, which is stored with the first of them. */
  shared(batch: LevelBatch, message: Message, bodyValue: Buffer): SharedEntries {
    return new SharedEntries(this, batch, message, bodyValue)
  }

  makeRoom(batch: LevelBatch, session: LevelSession, size: number): boolean {
    const { clientId, queue } = session
    const { limits, events } = this
    if (queue.size < limits.queuedMessages && queue.bytes + size <= limits.queuedBytes) return true
    let evicted = 0
    let expired = 0
    const admitted = queue.makeRoom(size, limits, this.clock.now(), (sequence, slot, why) => {
      this.removed(batch, session, sequence, slot)
      if (why === 'evicted') evicted++
      else expired++
    })
    if (!admitted) evicted++
    batch.whenCommitted(() => {
      if (evicted > 0) events.queueDropped(clientId, limits.whenFull, evicted)
      if (expired > 0) events.messagesExpired(clientId, expired)
    })
    return admitted
  }

  append(batch: LevelBatch, session: LevelSession, slot: Slot, value: Buffer): number {
    const sequence = session.queue.push(slot)
    batch.touch(session)
    batch.put(entryKey(session.number, sequence), value)
    return sequence
  }

  /** Removes an entry. False: it is gone already. */
  remove(batch: LevelBatch, session: LevelSession, sequence: number): boolean {
    const slot = session.queue.delete(sequence)
    if (slot !== undefined) this.removed(batch, session, sequence, slot)
    return slot !== undefined
  }

  release(batch: LevelBatch, session: LevelSession, sequence: number): void {
    const slot = session.queue.get(sequence)
    if (slot === undefined || slot === RELEASED) return
    session.queue.replace(sequence, RELEASED)
    this.unreference(batch, slot)
    batch.put(entryKey(session.number, sequence), encodeReleasedEntry(this.writer))
  }

  private removed(batch: LevelBatch, session: LevelSession, sequence: number, slot: Slot): void {
    batch.touch(session)
    batch.del(entryKey(session.number, sequence))
    this.unreference(batch, slot)
  }

  private unreference(batch: LevelBatch, slot: Slot): void {
    if (typeof slot === 'number' || slot.number === 0) return
    if (--slot.references === 0) batch.del(bodyKey(slot.number))
  }
}

/** The entries of one message for several recipients. */
class SharedEntries {
  private body: Body | undefined
  private lastDelivery: Delivery | undefined
  private lastValue: Buffer | undefined

  constructor(
    private readonly contents: LevelContents,
    private readonly batch: LevelBatch,
    private readonly message: Message,
    private readonly bodyValue: Buffer,
  ) {}

  /** Undefined: the bounds do not let it. */
  queue(session: LevelSession, delivery: Delivery): number | undefined {
    const { batch, contents, message } = this
    if (!contents.makeRoom(batch, session, message.payload.length)) return undefined
    const body = (this.body ??= this.store())
    body.references++
    return contents.append(batch, session, body, this.valueFor(body, delivery))
  }

  private store(): Body {
    const { payload, expiresAt } = this.message
    const number = this.contents.nextBody++
    this.batch.put(bodyKey(number), this.bodyValue)
    return { number, size: payload.length, expiresAt, references: 0 }
  }

  /** Recipients mostly have one delivery in common, and then one value. */
  private valueFor(body: Body, delivery: Delivery): Buffer {
    if (this.lastDelivery !== delivery || this.lastValue === undefined) {
      this.lastDelivery = delivery
      this.lastValue = encodeSharedEntry(this.contents.writer, this.message, body.number, delivery)
    }
    return this.lastValue
  }
}

const NOTHING = Buffer.alloc(0)
