import type { RedisCommands, RedisReply } from '../../contract/cluster.js'
import type { Clock, Timer } from '../../contract/clock.js'
import type { InterestChange } from './entry.js'
import type { RemoteNode } from './remote-node.js'
import type { WriteHealth } from './write-health.js'

export interface RemoteInterestParts {
  readonly redis: RedisCommands
  /** Key of the node's interest. */
  readonly key: string
  readonly clock: Clock
  readonly health: WriteHealth
  /** The node as a subscriber without subscriptions. */
  readonly newNode: () => RemoteNode
  /** A field of the copy that cannot be used: it is passed over. */
  readonly onDamaged: (key: string) => void
}

/** Pause before the copy is read again, when Redis is away or the copy is behind, milliseconds. */
const RETRY_MS = 50
const FILTERS_PER_SCAN = 500
/** Changes that are kept while the copy is read; with more it is read once more. */
const MOST_PENDING = 1_000

/**
 * What another node wants. It tells changes under consecutive versions; when one is missing its copy in Redis is
 * read, beside what is known, which goes on meanwhile: a message gets to the node once, whichever of both it meets.
 */
export class RemoteInterest {
  private node: RemoteNode
  private version = 0
  private loading: Promise<void> | undefined
  /** While the copy is read: changes told meanwhile. Undefined: more than fit, or something was missed. */
  private pending: InterestChange[] | undefined = []
  private closed = false
  private timer: Timer | undefined
  private wake: (() => void) | undefined

  constructor(private readonly parts: RemoteInterestParts) {
    this.node = parts.newNode()
    this.load()
  }

  told(change: InterestChange): void {
    if (this.closed) return
    if (this.loading !== undefined) {
      if (this.pending !== undefined && this.pending.push(change) > MOST_PENDING) this.pending = undefined
    } else if (change.version <= this.version) return
    else if (change.base > this.version) {
      this.load()
      this.pending?.push(change)
    } else {
      apply(this.node, change)
      this.version = change.version
    }
  }

  /** Something that the node has told is lost. */
  missed(): void {
    if (this.loading === undefined) this.load()
    else this.pending = undefined
  }

  /** Resolves when everything that was told is taken in; undefined: it is. */
  get takingIn(): Promise<void> | undefined {
    return this.loading
  }

  /** The node has gone, and wants nothing any more. */
  close(): void {
    this.closed = true
    this.timer?.cancel()
    this.parts.health.ended(this)
    this.wake?.()
    this.node.remove()
  }

  private load(): void {
    if (this.closed) return
    this.pending = []
    this.loading = this.read().then(() => {
      this.loading = undefined
    })
  }

  private async read(): Promise<void> {
    for (;;) {
      const node = this.parts.newNode()
      const complete = await this.readInto(node).catch((error: unknown) => {
        if (!this.hasClosed()) this.parts.health.failed(this, error)
        return false
      })
      if (this.hasClosed()) {
        node.remove()
        return
      }
      if (complete) {
        this.parts.health.succeeded(this)
        this.node.remove()
        this.node = node
        return
      }
      node.remove()
      this.pending ??= []
      await this.pause()
      if (this.hasClosed()) return
    }
  }

  /** Whether it now has all that was told. */
  private async readInto(node: RemoteNode): Promise<boolean> {
    const { redis, key } = this.parts
    const stored = await redis.command('hget', key, 'version')
    let cursor = '0'
    do {
      const page = list(await redis.command('hscan', key, cursor, 'COUNT', FILTERS_PER_SCAN))
      if (this.hasClosed()) return false
      cursor = String(page[0])
      const fields = list(page[1])
      for (let i = 0; i + 1 < fields.length; i += 2) {
        const field = String(fields[i])
        const sound = field.startsWith('f') && node.wants(field.slice(1), numberIn(fields[i + 1]) ?? -1)
        if (!sound && field !== 'version') this.parts.onDamaged(`${key} ${field}`)
      }
    } while (cursor !== '0')
    if (this.pending === undefined) return false
    // What was told meanwhile may be in some pages and not in others; done again, it does no harm.
    let version = stored === null ? 0 : numberIn(stored)
    if (version === undefined) {
      this.parts.onDamaged(`${key} version`)
      // With its next change the node writes another one.
      version = this.pending[0]?.base ?? 0
    }
    for (const change of this.pending) {
      if (change.base > version) return false
      if (change.version <= version) continue
      apply(node, change)
      version = change.version
    }
    this.version = version
    return true
  }

  private hasClosed(): boolean {
    return this.closed
  }

  private pause(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = resolve
      this.timer = this.parts.clock.schedule(RETRY_MS, resolve)
    })
  }
}

function apply(node: RemoteNode, { wanted }: InterestChange): void {
  for (const [filter, members] of wanted) node.wants(filter, members)
}

/** Undefined: it is none. */
function numberIn(value: RedisReply | undefined): number | undefined {
  const text = Buffer.isBuffer(value) ? value.toString() : ''
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

function list(reply: RedisReply | undefined): readonly RedisReply[] {
  if (reply === null || reply === undefined || typeof reply === 'number' || Buffer.isBuffer(reply))
    throw new TypeError('no reply of HSCAN')
  return reply
}
