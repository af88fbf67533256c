import type { Clock } from '../../contract/clock.js'
import { GatewayError } from '../../contract/errors.js'
import type { StoreEvents } from '../../contract/events.js'
import type { StoreLimits } from '../../contract/store.js'
import type { RedisLink } from './link.js'
import { script } from './link.js'
import { arrayHead, pack, textOf, unpack, type Unpacked } from './message-pack.js'
import { BATCH } from './lua/batch.js'

/** One operation on its way to a partition. */
export interface Operation {
  /** Packed, see `operations.ts`. */
  readonly packed: Buffer
  /** Client ids whose queues it changes. */
  readonly clients: readonly string[]
  /** False: it keeps its place, and what is behind it waits with it, until `release` is called. */
  ready: boolean
  /** It has to take place: where Redis refuses it, for lack of memory say, it is tried again until it does not. */
  readonly insists?: true
  /** Called once: with the result, or with the error that kept it, or its whole batch, from taking place. */
  done(error: GatewayError | undefined, result: Unpacked): void
}

/** What a batch says beside the results. */
export interface BatchNotices {
  /** `clients` of the batch that `isWatched` has picked. */
  queue(clientId: string, born: number, count: number, settledUpTo: number | false, last: number): void
  change(partition: number, version: number, packed: Buffer): void
  retainedBytes(partition: number, bytes: number): void
  isWatched(clientId: string): boolean
}

export interface PartitionParts {
  readonly link: RedisLink
  readonly node: string
  readonly channel: string
  readonly limits: StoreLimits
  readonly clock: Clock
  readonly events: StoreEvents
  readonly notices: BatchNotices
}

const SCRIPT = script(BATCH)

/**
 * One batch takes no more, so that it keeps Redis, which does one thing at a time, from others for a few
 * milliseconds: an operation on one queue is 5 to 15 us.
 */
const MAX_BATCH_RECIPIENTS = 2_000
const MAX_BATCH_BYTES = 4_194_304

/**
 * The line of writes to one partition. What a tick of the event loop brings is one batch; while it is under way the
 * next one forms. A batch that stays without an answer is sent again until there is one: it has a number, and Redis
 * does each number once.
 */
export class Partition {
  private line: Operation[] = []
  private number = 0
  private scheduled = false
  private committing = false
  private insisting = 0
  private onIdle: (() => void)[] = []

  constructor(
    private readonly index: number,
    private readonly base: string,
    private readonly parts: PartitionParts,
  ) {}

  add(operation: Operation): void {
    this.line.push(operation)
    this.schedule()
  }

  /** Before everything that waits: for what commutes with all of it. */
  addFirst(operation: Operation): void {
    this.line.unshift(operation)
    this.schedule()
  }

  /** An operation that was added before it was ready may go now. */
  release(operation: Operation): void {
    operation.ready = true
    this.schedule()
  }

  /** Whether nothing is in line or under way. */
  get isIdle(): boolean {
    return !this.committing && this.line.length === 0 && this.insisting === 0
  }

  /** Resolves when that is so. */
  idle(): Promise<void> {
    if (this.isIdle) return Promise.resolve()
    return new Promise((resolve) => this.onIdle.push(resolve))
  }

  /** Refuses what waits. */
  abandon(error: GatewayError): void {
    const line = this.line
    this.line = []
    for (const operation of line) operation.done(error, null)
    this.tellIdle()
  }

  /** Removes what Redis remembers of this node's batches. */
  async forget(): Promise<void> {
    if (this.number > 0) await this.parts.link.command('del', this.batchKey)
  }

  private get batchKey(): string {
    return `${this.base}n:${this.parts.node}`
  }

  private schedule(): void {
    if (this.scheduled || this.committing || this.line[0]?.ready !== true) return
    this.scheduled = true
    setImmediate(() => {
      this.scheduled = false
      if (!this.committing) this.flush()
    })
  }

  private flush(): void {
    const group = this.take()
    if (group.length === 0) return
    this.committing = true
    const started = this.parts.clock.now()
    this.commit(group).then(
      (reply) => {
        this.committing = false
        this.schedule()
        if (reply instanceof GatewayError) for (const operation of group) operation.done(reply, null)
        else this.tell(group, reply, this.parts.clock.now() - started)
        this.tellIdle()
      },
      (error: unknown) => {
        this.committing = false
        this.schedule()
        const defect = new GatewayError('INTERNAL', 'A batch of writes could not be carried out.', {
          cause: error,
        })
        for (const operation of group) operation.done(defect, null)
        this.tellIdle()
      },
    )
  }

  private take(): readonly Operation[] {
    let recipients = 0
    let bytes = 0
    let count = 0
    for (const { ready, clients, packed } of this.line) {
      if (!ready || (count > 0 && (recipients >= MAX_BATCH_RECIPIENTS || bytes >= MAX_BATCH_BYTES))) break
      count++
      recipients += clients.length + 1
      bytes += packed.length
    }
    if (count === this.line.length) {
      const group = this.line
      this.line = []
      return group
    }
    return this.line.splice(0, count)
  }

  private async commit(group: readonly Operation[]): Promise<Unpacked | GatewayError> {
    const { link, node, channel, limits, clock, notices } = this.parts
    const number = ++this.number
    const touched = new Set<string>()
    for (const { clients } of group) for (const id of clients) touched.add(id)
    const ids = [...touched]
    const watched = ids.filter((id) => notices.isWatched(id))
    const bounds = [limits.queuedMessages, limits.queuedBytes, limits.whenFull === 'drop-oldest']
    for (;;) {
      const batch = Buffer.concat([
        ARRAY_OF_10,
        ...[this.base, number, clock.now(), node, channel, this.index, bounds, ids, watched].map(pack),
        arrayHead(group.length),
        ...group.map(({ packed }) => packed),
      ])
      try {
        const reply = await link.write(SCRIPT, this.batchKey, batch)
        link.succeeded()
        if (!Buffer.isBuffer(reply)) throw new Error('the script returned no bytes')
        return unpack(reply)
      } catch (error) {
        const outage = link.failed(error)
        if (outage === undefined) throw error
        if (link.hasEnded() || link.isFenced) return outage
        await link.pause()
        if (link.hasEnded()) return outage
      }
    }
  }

  private tell(group: readonly Operation[], reply: Unpacked, milliseconds: number): void {
    const { events, notices, link } = this.parts
    const [results, watched, counts, damaged, logged, retainedBytes] = reply as BatchReply
    for (const [what, key, text] of damaged)
      events.entryDamaged(what.toString(), key.toString(), new Error(text.toString()))
    for (const [id, why, count] of counts) {
      if (why.toString() === 'dropped') events.queueDropped(id.toString(), this.parts.limits.whenFull, count)
      else events.messagesExpired(id.toString(), count)
    }
    for (const queue of watched) if (queue !== false) notices.queue(queue[0].toString(), ...rest(queue))
    for (let i = 0; i < logged.length; i += 2)
      notices.change(this.index, logged[i] as number, logged[i + 1] as Buffer)
    if (retainedBytes !== false) notices.retainedBytes(this.index, retainedBytes)
    events.committed(group.length, milliseconds)
    for (const [i, operation] of group.entries()) {
      const result = results[i] ?? null
      const failure = errorIn(result)
      const refusal = failure === undefined ? undefined : link.refused(failure)
      if (refusal === undefined) operation.done(undefined, result)
      else if (operation.insists === true) this.insist(operation)
      else operation.done(refusal, null)
    }
  }

  private insist(operation: Operation): void {
    const { link } = this.parts
    this.insisting++
    void link.pause().then(() => {
      this.insisting--
      if (link.hasEnded() && link.failure !== undefined) operation.done(link.failure, null)
      else this.addFirst(operation)
      this.tellIdle()
    })
  }

  private tellIdle(): void {
    if (!this.isIdle) return
    const told = this.onIdle
    this.onIdle = []
    for (const tell of told) tell()
  }
}

/** `settledUpTo`: false where nothing has left the queue. */
type Watched = readonly [id: Buffer, born: number, count: number, settledUpTo: number | false, last: number]
type BatchReply = readonly [
  results: readonly Unpacked[],
  watched: readonly (Watched | false)[],
  counts: readonly (readonly [id: Buffer, why: Buffer, count: number])[],
  damaged: readonly (readonly [what: Buffer, key: Buffer, text: Buffer])[],
  logged: readonly (number | Buffer)[],
  retainedBytes: number | false,
]

const ARRAY_OF_10 = Buffer.from([0x9a])

function rest([, born, count, settledUpTo, last]: Watched): [number, number, number | false, number] {
  return [born, count, settledUpTo, last]
}

/** The error that one operation came to; undefined when it took place. */
export function errorIn(result: Unpacked): string | undefined {
  if (!(result instanceof Map)) return undefined
  return textOf((result as ReadonlyMap<string, Unpacked>).get('err'))
}
