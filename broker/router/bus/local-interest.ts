import type { Interest } from '../../contract/cluster.js'
import type { InterestChange } from './entry.js'

/** Changes in one item of an entry: the receiver takes them in without holding up its clients. */
const CHANGES_PER_ITEM = 500

export interface InterestTellers {
  /** Something has to be told, or somebody waits: `changes` is called at the end of the turn. */
  wake(): void
  /** Asks every other node whether it has taken in what was told. */
  settle(): Settling
}

export interface Settling {
  /** Every node has, or has left. */
  readonly surely: Promise<void>
  /** The same, or a second is over. */
  readonly soon: Promise<void>
}

interface Waiters {
  readonly settling: Promise<Settling>
  readonly begin: (settling: Settling) => void
}

/**
 * What subscribers on this node want, by filter, with a count. Alone, without `connect`, it only counts. What
 * comes and goes within a turn is told to nobody.
 */
export class LocalInterest implements Interest {
  private readonly counts = new Map<string, number>()
  /** Filters that have changed since they were told, with what others know of them. */
  private readonly changed = new Map<string, number>()
  private tellers: InterestTellers | undefined
  private told = 0
  private waiters: Waiters | undefined

  connect(tellers: InterestTellers): void {
    this.tellers = tellers
  }

  want(filter: string): void {
    this.change(filter, 1)
  }

  unwant(filter: string): void {
    this.change(filter, -1)
  }

  async settled(soon: boolean): Promise<void> {
    if (this.tellers === undefined) return
    if (this.waiters === undefined) {
      let begin: (settling: Settling) => void = () => {}
      const settling = new Promise<Settling>((resolve) => {
        begin = resolve
      })
      this.waiters = { settling, begin }
      this.tellers.wake()
    }
    const { settling } = this.waiters
    const asked = await settling
    await (soon ? asked.soon : asked.surely)
  }

  /** A version that nobody knows: everything will be read again. What is not told yet is in `all`. */
  beginAnew(): number {
    this.changed.clear()
    return ++this.told
  }

  /** The version that was told last; 0: nothing yet. */
  get version(): number {
    return this.told
  }

  /** Everything that is wanted, changes that are not told yet included. */
  *all(): Iterable<readonly [filter: string, members: number]> {
    for (const filter of this.counts.keys()) yield [filter, this.members(filter)]
  }

  /** What has changed since the former call, to be told now. */
  changes(): InterestChange[] {
    const wanted: [string, number][] = []
    for (const [filter, known] of this.changed) {
      const members = this.members(filter)
      if (members !== known) wanted.push([filter, members])
    }
    this.changed.clear()
    const items: InterestChange[] = []
    for (let from = 0; from < wanted.length; from += CHANGES_PER_ITEM) {
      const base = this.told++
      items.push({ base, version: this.told, wanted: wanted.slice(from, from + CHANGES_PER_ITEM) })
    }
    return items
  }

  /** Everything that waits in `settled` is answered by what is asked now. */
  settle(): void {
    const { waiters, tellers } = this
    if (waiters === undefined || tellers === undefined) return
    this.waiters = undefined
    waiters.begin(tellers.settle())
  }

  private change(filter: string, by: number): void {
    const before = this.members(filter)
    const count = (this.counts.get(filter) ?? 0) + by
    if (count > 0) this.counts.set(filter, count)
    else this.counts.delete(filter)
    if (this.members(filter) === before) return
    if (!this.changed.has(filter)) this.changed.set(filter, before)
    this.tellers?.wake()
  }

  /** What others are told: of a share group the number of its members, of a filter whether it is wanted. */
  private members(filter: string): number {
    const count = this.counts.get(filter) ?? 0
    return count > 1 && !filter.startsWith('$share/') ? 1 : count
  }
}
