import type { RedisCommands } from '../../contract/cluster.js'
import type { Clock, Timer } from '../../contract/clock.js'
import type { BusEvents } from '../../contract/events.js'
import type { WriteHealth } from './write-health.js'
import type { Round, WrittenLine } from './written-line.js'

export interface SealedEntry {
  readonly bytes: Buffer
  readonly items: number
  readonly messages: number
  /** Undefined: whoever waited for it has been told. */
  round: Round | undefined
}

export interface StreamWriterParts {
  readonly redis: RedisCommands
  readonly clock: Clock
  readonly events: BusEvents
  readonly health: WriteHealth
  readonly line: WrittenLine
  /** Whether the node is still a member: then a stream that is missing will come. */
  readonly isMember: () => boolean
  /** It is no member, and has no stream. */
  readonly onGone: () => void
}

/** What is sent to Redis at a time, bytes; what forms meanwhile goes with the next one. */
const BYTES_PER_WRITE = 1_048_576
/** Pause before what failed is sent again, milliseconds. */
const RETRY_MS = 100
/** What an entry takes in memory beside its bytes. */
const ENTRY_BYTES = 256
/**
 * What the stream of a node may hold, bytes, about; a receiver that lives reads long before. Streams are bounded by
 * the number of writes: it follows from the size of late, within these limits.
 */
const STREAM_BYTES = 134_217_728
const FEWEST_WRITES = 128
const MOST_WRITES = 65_536

/**
 * Appends entries to the stream of one node, in order: one write at a time, with all that waits. On a Cluster a
 * write that lost its connection is sent again by the client; a second one under way would overtake it. A write that
 * failed may have got there: its entries are sent again under the same numbers, by which the receiver knows them. A
 * stream that is missing is not made (NOMKSTREAM), or one would stay behind for each node that has left.
 */
export class StreamWriter {
  private readonly entries: SealedEntry[] = []
  private busy = false
  private pause: Timer | undefined
  private closed = false
  private waitingBytes = 0
  private averageBytes = STREAM_BYTES / MOST_WRITES

  constructor(
    private readonly stream: string,
    private readonly parts: StreamWriterParts,
  ) {}

  /** What is not in Redis yet, bytes of memory. */
  get backlog(): number {
    return this.waitingBytes
  }

  add(entry: SealedEntry): void {
    this.entries.push(entry)
    this.waitingBytes += entry.bytes.length + ENTRY_BYTES
    if (!this.busy && !this.closed) this.write()
  }

  /** Sends nothing any more. Returns the number of messages that did not get to Redis, as far as is known. */
  close(): number {
    this.closed = true
    this.pause?.cancel()
    this.parts.health.ended(this)
    this.waitingBytes = 0
    let messages = 0
    for (const entry of this.entries.splice(0)) {
      messages += entry.messages
      this.tell(entry)
    }
    return messages
  }

  private write(): void {
    const fields: Buffer[] = []
    let bytes = 0
    for (const { bytes: entry } of this.entries) {
      if (bytes > 0 && bytes + entry.length > BYTES_PER_WRITE) break
      fields.push(FIELD, entry)
      bytes += entry.length
    }
    const count = fields.length / 2
    this.busy = true
    this.averageBytes += (bytes - this.averageBytes) / 16
    this.parts.redis
      .command('xadd', this.stream, 'NOMKSTREAM', 'MAXLEN', '~', this.mostWrites, '*', ...fields)
      .then(
        (id) => this.answered(id !== null, count),
        (error: unknown) => {
          if (this.closed) return
          this.parts.health.failed(this, error)
          this.writeAgain()
        },
      )
  }

  private get mostWrites(): number {
    const fitting = Math.floor(STREAM_BYTES / this.averageBytes)
    return Math.min(Math.max(fitting, FEWEST_WRITES), MOST_WRITES)
  }

  private answered(isThere: boolean, count: number): void {
    if (this.closed) return
    this.parts.health.succeeded(this)
    if (isThere) this.written(count)
    else if (this.parts.isMember()) this.withoutStream(count)
    else this.parts.onGone()
  }

  /**
   * The node is about to leave, or Redis has lost the stream and the node will make it anew. Nobody waits for that:
   * what has to survive is in the store.
   */
  private withoutStream(count: number): void {
    this.writeAgain()
    for (const entry of this.entries.slice(0, count)) this.tell(entry)
  }

  private written(count: number): void {
    const { events } = this.parts
    const written = this.entries.splice(0, count)
    for (const { bytes, items } of written) {
      this.waitingBytes -= bytes.length + ENTRY_BYTES
      events.entryWritten(items, bytes.length)
    }
    this.busy = false
    if (this.entries.length > 0) this.write()
    // Whoever is told may hand over more, or close the bus.
    for (const entry of written) this.tell(entry)
  }

  private tell(entry: SealedEntry): void {
    const { round } = entry
    entry.round = undefined
    if (round !== undefined) this.parts.line.end(round)
  }

  private writeAgain(): void {
    this.pause = this.parts.clock.schedule(RETRY_MS, () => this.write())
  }
}

const FIELD = Buffer.from('e')
