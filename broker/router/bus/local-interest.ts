import type { Interest } from '../../contract/cluster.js'
import type { InterestChange } from './entry.js'

/** Changes in one item of an entry: the receiver takes them in without holding up its clients. */
const CHANGES_PER_ITEM = 500

export interface InterestTellers {
  /** Something has to be told, or somebody waits: `changes` is called at the end of the turn. */
  wake(): void
  /** Resolves when every other node has taken in what was told, or after a second. */
  settle(): Promise<void>
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
  private settling: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined

  connect(tellers: InterestTellers): void {
    this.tellers = tellers
  }

  want(filter: string): void {
    this.change(filter, 1)
  }

  unwant(filter: string): void {
    this.change(filter, -1)
  }

  settled(): Promise<void> {
    if (this.tellers === undefined) return Promise.resolve()
    if (this.settling === undefined) {
      let resolve = (): void => {}
      const promise = new Promise<void>((resolved) => {
        resolve = resolved
      })
      this.settling = { promise, resolve }
      this.tellers.wake()
    }
    return this.settling.promise
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
  async settle(): Promise<void> {
    const { settling, tellers } = this
    this.settling = undefined
    if (settling === undefined) return
    await tellers?.settle()
    settling.resolve()
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
