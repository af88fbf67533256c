import type { RedisCommands, RedisReply } from '../../contract/cluster.js'
import type { Clock, Timer } from '../../contract/clock.js'
import type { BusKeys } from './bus-keys.js'
import { WRITE_INTEREST } from './bus-scripts.js'
import type { WriteHealth } from './write-health.js'

/** Pause before what failed is written again, milliseconds. */
const RETRY_MS = 100
/** Filters a script: it holds up Redis for a millisecond at most. */
const FILTERS_PER_WRITE = 1_000

export interface InterestCopyParts {
  readonly redis: RedisCommands
  readonly keys: BusKeys
  readonly clock: Clock
  readonly health: WriteHealth
  /** What changes are to be added to is not there any more: `rewrite` is to be called. */
  readonly onLost: () => void
}

/** What became of a write, as the script says it. */
const NO_STREAM = 0
const NOTHING_THERE = 2

/** What this node wants, in Redis, for nodes that come later or have missed a change. Changes are written in order. */
export class InterestCopy {
  private pending = new Map<string, number>()
  private version = 0
  private anew = false
  private busy = false
  private pause: Timer | undefined
  private closed = false

  constructor(private readonly parts: InterestCopyParts) {}

  write(version: number, wanted: Iterable<readonly [filter: string, members: number]>): void {
    this.version = version
    for (const [filter, members] of wanted) this.pending.set(filter, members)
    this.go()
  }

  /** Writes everything, in the place of whatever is there. */
  rewrite(version: number, wanted: Iterable<readonly [filter: string, members: number]>): void {
    this.anew = true
    this.pending.clear()
    this.write(version, wanted)
  }

  close(): void {
    this.closed = true
    this.pause?.cancel()
    this.parts.health.ended(this)
  }

  private go(): void {
    if (this.busy || this.closed) return
    this.busy = true
    const { pending, version, anew } = this
    this.pending = new Map()
    this.anew = false
    this.send([...pending], version, anew).then(
      (written) => {
        this.parts.health.succeeded(this)
        if (written === NOTHING_THERE) this.lost()
        else this.ended(written !== NO_STREAM, pending, anew)
      },
      (error: unknown) => {
        if (!this.closed) this.parts.health.failed(this, error)
        this.ended(false, pending, anew)
      },
    )
  }

  private async send(
    wanted: readonly (readonly [string, number])[],
    version: number,
    anew: boolean,
  ): Promise<RedisReply> {
    const { redis, keys } = this.parts
    for (let from = 0; from === 0 || from < wanted.length; from += FILTERS_PER_WRITE) {
      const chunk = wanted.slice(from, from + FILTERS_PER_WRITE)
      const last = from + FILTERS_PER_WRITE >= wanted.length
      const head = [keys.stream, anew && from === 0 ? 1 : 0, last ? version : '']
      const written: RedisReply = await redis.script(WRITE_INTEREST, keys.interest, ...head, ...chunk.flat())
      if (written !== 1) return written
    }
    return 1
  }

  private lost(): void {
    this.busy = false
    if (!this.closed) this.parts.onLost()
  }

  private ended(there: boolean, sent: ReadonlyMap<string, number>, anew: boolean): void {
    this.busy = false
    if (this.closed) return
    if (there) {
      if (this.pending.size > 0 || this.anew) this.go()
      return
    }
    // Done again with what has come meanwhile: what was wanted last counts.
    if (!this.anew) this.pending = new Map([...sent, ...this.pending])
    this.anew ||= anew
    this.busy = true
    this.pause = this.parts.clock.schedule(RETRY_MS, () => {
      this.busy = false
      this.go()
    })
  }
}
