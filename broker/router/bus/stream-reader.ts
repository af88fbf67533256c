import type { RedisCommands, RedisPort, RedisReply } from '../../contract/cluster.js'
import type { Clock } from '../../contract/clock.js'
import type { BusKeys } from './bus-keys.js'
import { CREATE_STREAM, RENEW_STREAM } from './bus-scripts.js'
import type { WriteHealth } from './write-health.js'

export interface StreamReaderParts {
  readonly redis: RedisPort
  /** For what does not block. */
  readonly commands: RedisCommands
  readonly keys: BusKeys
  /** How long they outlive the last renewal, seconds. */
  readonly keptSeconds: () => number
  readonly clock: Clock
  readonly health: WriteHealth
  /** Does not throw. */
  readonly onEntry: (bytes: Buffer) => void
  /**
   * The stream was gone and has been made anew, or is in the hands of another process of Redis, which may not have
   * got all that the former one had.
   */
  readonly onLost: () => void
  /** What this node wants is not in Redis any more, and has to be written anew. */
  readonly onInterestLost: () => void
  /** A key that was of another kind has been removed. */
  readonly onDamaged: (key: string) => void
}

/** How long Redis holds a read that finds nothing, milliseconds. */
const BLOCK_MS = 5_000
/** A read without an answer for so long has lost its connection without a word. */
const SILENCE_MS = 3 * BLOCK_MS
/** Writes of other nodes that are read at a time. */
const WRITES_PER_READ = 16
/**
 * What is handled in one turn of the event loop, bytes: reading holds up the clients that are here for a millisecond
 * or two at most, and what many small entries bring for a client leaves as one write.
 */
const BYTES_PER_TURN = 65_536
const RETRY_MS = 100
/** What has been read is removed when it is so much, or so old. */
const TRIM_BYTES = 1_048_576
const TRIM_MS = 1_000
const RENEW_MS = 30_000

const BEGINNING = '0-0'

/**
 * Reads the stream of this node on a connection of its own, from the last position: a connection that is cut loses
 * nothing. What has been read is removed.
 */
export class StreamReader {
  private blocking: RedisCommands
  private position = BEGINNING
  private stopped = false
  /** Which process of Redis it was that answered last. */
  private process: string | undefined
  /** Whether the last read was answered. */
  private isWell = false
  private readBytes = 0
  private turnBytes = 0
  private trimming = false
  private trimmedAt: number
  private renewedAt: number
  private wake: (() => void) | undefined
  private loop: Promise<void> = Promise.resolve()

  constructor(private readonly parts: StreamReaderParts) {
    this.trimmedAt = this.renewedAt = parts.clock.monotonic()
    this.blocking = this.connect()
  }

  /** Makes the stream, once Redis is there, and begins to read. Resolves when there is a stream, or after `stop`. */
  async start(): Promise<void> {
    await this.blocking.ready()
    const made = this.untilAnswered(async () => {
      await this.create()
      await this.renew()
    })
    this.loop = made.then(() => this.read())
    await made
  }

  /** Resolves when nothing is read any more. */
  async stop(): Promise<void> {
    this.stopped = true
    this.blocking.close()
    this.wake?.()
    await this.loop
    this.parts.health.ended(this)
  }

  private connect(): RedisCommands {
    return this.parts.redis.open('bus-reader', { blocking: true })
  }

  private hasStopped(): boolean {
    return this.stopped
  }

  private async read(): Promise<void> {
    while (!this.hasStopped()) {
      try {
        const reply = await this.nextWrites()
        if (this.hasStopped()) return
        this.parts.health.succeeded(this)
        for (const write of writesOf(reply)) await this.handle(write)
        this.trimWhenDue(reply === null)
        if (reply === null || this.parts.clock.monotonic() - this.renewedAt >= RENEW_MS) await this.renew()
      } catch (error) {
        if (this.hasStopped()) return
        this.isWell = false
        this.parts.health.failed(this, error)
        await this.pause()
        await this.untilAnswered(() => this.renew())
      }
    }
  }

  /** Null: there were none for a while. */
  private async nextWrites(): Promise<RedisReply> {
    const silence = this.parts.clock.schedule(SILENCE_MS, () => {
      this.blocking.close()
      this.blocking = this.connect()
    })
    try {
      const { stream } = this.parts.keys
      // Behind a failure it is not to be known for seconds whether reading works again.
      const blockMs = this.isWell ? BLOCK_MS : 1
      const options = ['COUNT', WRITES_PER_READ, 'BLOCK', blockMs, 'STREAMS', stream, this.position]
      const reply = await this.blocking.command('xread', ...options)
      this.isWell = true
      return reply
    } finally {
      silence.cancel()
    }
  }

  private async handle({ id, entries }: StreamWrite): Promise<void> {
    for (const entry of entries) {
      if (this.hasStopped()) return
      this.readBytes += entry.length
      this.turnBytes += entry.length
      this.parts.onEntry(entry)
      if (this.turnBytes >= BYTES_PER_TURN) await this.turn()
    }
    this.position = id
  }

  private trimWhenDue(idle: boolean): void {
    const now = this.parts.clock.monotonic()
    const due = idle || this.readBytes >= TRIM_BYTES || now - this.trimmedAt >= TRIM_MS
    if (this.readBytes === 0 || this.trimming || !due) return
    this.trimming = true
    this.trimmedAt = now
    const bytes = this.readBytes
    this.readBytes = 0
    this.parts.commands.command('xtrim', this.parts.keys.stream, 'MINID', following(this.position)).then(
      () => {
        this.trimming = false
      },
      (error: unknown) => {
        this.trimming = false
        this.readBytes += bytes
        if (!this.stopped) this.parts.health.failed(this, error)
      },
    )
  }

  /** Lets the stream live on, and looks whether it is still the one that was read. */
  private async renew(): Promise<void> {
    const { commands, keys, keptSeconds, onLost, onInterestLost, onDamaged, clock } = this.parts
    const reply = await commands.script(RENEW_STREAM, keys.stream, keys.interest, keptSeconds())
    this.renewedAt = clock.monotonic()
    const [last = null, running, unwanted, damaged] = list(reply)
    for (const key of list(damaged)) onDamaged(String(key))
    if (last === null) {
      await this.create()
      this.process = undefined
      onLost()
      return
    }
    const process = String(running)
    // At the start nothing has been written yet.
    if (unwanted === 1 && this.process !== undefined) onInterestLost()
    const replaced = this.process !== undefined && this.process !== process
    this.process = process
    // What is read again is known by its number.
    if (replaced || isBefore(String(last), this.position)) this.position = BEGINNING
    if (replaced) onLost()
  }

  private async create(): Promise<void> {
    const { commands, keys, keptSeconds } = this.parts
    const id = await commands.script(CREATE_STREAM, keys.stream, keptSeconds())
    this.position = String(id)
  }

  /** Repeats what failed until Redis answers. */
  private async untilAnswered(task: () => Promise<void>): Promise<void> {
    while (!this.hasStopped()) {
      try {
        await task()
        return
      } catch (error) {
        if (this.hasStopped()) return
        this.parts.health.failed(this, error)
        await this.pause()
      }
    }
  }

  private pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.parts.clock.schedule(RETRY_MS, () => this.wake?.())
      this.wake = () => {
        timer.cancel()
        this.wake = undefined
        resolve()
      }
    })
  }

  private turn(): Promise<void> {
    this.turnBytes = 0
    return new Promise(setImmediate)
  }
}

interface StreamWrite {
  readonly id: string
  readonly entries: readonly Buffer[]
}

function writesOf(reply: RedisReply): StreamWrite[] {
  if (reply === null) return []
  const [first] = list(reply)
  const [, writes] = list(first)
  return list(writes).map((each) => {
    const [id, fields] = list(each)
    return { id: String(id), entries: valuesOf(list(fields)) }
  })
}

/** The stream was made with a field of another name. */
function valuesOf(fields: readonly RedisReply[]): readonly Buffer[] {
  const values: Buffer[] = []
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const value = fields[i + 1]
    if (String(fields[i]) === 'e' && Buffer.isBuffer(value)) values.push(value)
  }
  return values
}

function list(reply: RedisReply | undefined): readonly RedisReply[] {
  if (reply === null || reply === undefined || typeof reply === 'number' || Buffer.isBuffer(reply))
    throw new TypeError('not the reply that was expected')
  return reply
}

function parts(id: string): readonly [milliseconds: number, sequence: number] {
  const [milliseconds, sequence] = id.split('-')
  return [Number(milliseconds), Number(sequence ?? 0)]
}

function isBefore(left: string, right: string): boolean {
  const [a, b] = [parts(left), parts(right)]
  return a[0] === b[0] ? a[1] < b[1] : a[0] < b[0]
}

function following(id: string): string {
  const [milliseconds, sequence] = parts(id)
  return `${milliseconds}-${sequence + 1}`
}
