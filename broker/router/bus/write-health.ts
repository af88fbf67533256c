import type { BusEvents } from '../../contract/events.js'

/**
 * Whether Redis takes what is for other nodes: told when that changes. Each who asks something of Redis speaks for itself:
 * that one succeeds says nothing about another, whose key may be on a master that is away.
 */
export class WriteHealth {
  private readonly failing = new Set<object>()
  private told = false

  constructor(private readonly events: Pick<BusEvents, 'busFailed' | 'busRecovered'>) {}

  failed(who: object, error: unknown): void {
    this.failing.add(who)
    if (this.told) return
    this.told = true
    this.events.busFailed(error instanceof Error ? error : new Error(String(error)))
  }

  succeeded(who: object): void {
    if (!this.told) return
    this.failing.delete(who)
    if (this.failing.size > 0) return
    this.told = false
    this.events.busRecovered()
  }

  /** It asks nothing any more. */
  ended(who: object): void {
    this.failing.delete(who)
  }
}
