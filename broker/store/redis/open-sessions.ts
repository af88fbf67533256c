import type { Clock } from '../../contract/clock.js'
import type { StoreEvents } from '../../contract/events.js'
import type { Message } from '../../contract/message.js'
import type { OpenOptions, QueueEntry, ReadLimit, StoredSession } from '../../contract/store.js'
import type { Delivery, Subscription } from '../../contract/subscription.js'
import { ValueWriter } from '../bytes.js'
import { sessionTaken } from '../failures.js'
import { encodeSubscription } from '../values.js'
import { operations } from './operations.js'
import { readQueue } from './queue-page.js'
import { RedisHandle, type HandleHost, type OperationDone } from './redis-handle.js'
import type { Running } from './running.js'
import { readFields } from './sessions.js'
import { finishIntent } from './spanning-accept.js'
import type { WriteLine } from './write-line.js'

/** How long a read waits for Redis, milliseconds. */
const PATIENCE_MS = 5_000

/** The store that sessions are opened in, as it is at the moment. */
export interface OpenSessionsHost {
  /** The name of this node. */
  instance(): string
  running(): Running | undefined
  /** Throws STORE_CLOSED, also while the store is being closed. */
  whenOpen(): Running
}

/** The sessions that this node has open: opening them, and what is done by their handles. */
export class OpenSessions implements HandleHost {
  /** The newest handle of each client. */
  readonly handles = new Map<string, RedisHandle>()
  private readonly writer = new ValueWriter()

  constructor(
    private readonly host: OpenSessionsHost,
    private readonly writes: WriteLine,
    private readonly events: StoreEvents,
    private readonly clock: Clock,
  ) {}

  async open(clientId: string, options: OpenOptions): Promise<StoredSession> {
    const { cleanStart, expiryInterval, evenExpired = false } = options
    const opening = operations.open(clientId, cleanStart, expiryInterval, evenExpired)
    const result = await this.writes.ofClient(clientId, opening)
    const { layout } = this.host.whenOpen()
    const [present, epoch, born, fields, former, unfinished, queued, settledUpTo, last] = result as OpenResult
    for (const intent of unfinished) await finishIntent(this.writes, intent)
    const key = `${layout.base(layout.partitionOf(clientId))}s:${clientId}`
    const { subscriptions, incoming } = readFields(fields, key, this.events)
    const instance = this.host.instance()
    const takenFrom = otherNode(former, instance)
    const handle = new RedisHandle(this, {
      instance,
      clientId,
      present,
      epoch,
      born,
      takenFrom,
      subscriptions,
      incoming,
    })
    handle.queued = queued
    handle.settledUpTo = settledUpTo
    handle.queuedUpTo = last
    this.handles.set(clientId, handle)
    return handle
  }

  write(handle: RedisHandle, packed: Buffer, frees: boolean, done: OperationDone): void {
    const { clientId, instance } = handle
    if (instance === this.host.instance())
      this.writes.add(clientId, { packed, clients: [clientId], frees }, done)
    else this.writes.enter().settle(() => done(sessionTaken(clientId), null))
  }

  packEnqueue(handle: RedisHandle, message: Message, delivery: Delivery): Buffer {
    return this.host.running()?.accepts.packEnqueue(handle, message, delivery) ?? Buffer.alloc(0)
  }

  packSubscription(subscription: Subscription): Buffer {
    return encodeSubscription(this.writer, subscription)
  }

  async read(handle: RedisHandle, afterSequence: number, limit: ReadLimit): Promise<readonly QueueEntry[]> {
    const { link, layout } = this.host.whenOpen()
    await this.writes.settled()
    const partition = layout.partitionOf(handle.clientId)
    const base = layout.base(partition)
    const { entries, expired, damaged } = await link.untilAnswered(
      () => readQueue(link, base, handle, afterSequence, limit, this.clock.now()),
      PATIENCE_MS,
    )
    for (const { sequence, error } of damaged)
      this.events.entryDamaged('queue entry', `${base}q:${handle.clientId} ${sequence}`, error)
    const purged = await this.purge(handle, expired)
    if (purged > 0) this.events.messagesExpired(handle.clientId, purged)
    await this.purge(
      handle,
      damaged.map(({ sequence }) => sequence),
    )
    return entries
  }

  closed(handle: RedisHandle): void {
    if (this.handles.get(handle.clientId) === handle) this.handles.delete(handle.clientId)
  }

  /** Removes what nobody is to get. Where Redis does not let it, the next read comes across it again. */
  private async purge(handle: RedisHandle, sequences: readonly number[]): Promise<number> {
    if (sequences.length === 0) return 0
    try {
      return Number(
        await this.writes.ofClient(
          handle.clientId,
          operations.purge(handle.clientId, handle.born, sequences),
        ),
      )
    } catch {
      return 0
    }
  }
}

type OpenResult = readonly [
  present: boolean,
  epoch: number,
  born: number,
  fields: readonly Buffer[],
  former: Buffer,
  unfinished: readonly Buffer[],
  queued: number,
  settledUpTo: number,
  last: number,
]

/** The node of that name, unless it is this one or nobody. */
export function otherNode(name: Buffer, own: string): string | undefined {
  const node = name.toString()
  return node === '' || node === own ? undefined : node
}
