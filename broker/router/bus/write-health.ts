import type { BusEvents } from '../../contract/events.js'
import type { Readiness } from '../../contract/service.js'

/**
 * Whether Redis takes what is for other nodes, and hands out what is for this one: told when that changes. Each who asks
 * something of Redis speaks for itself: that one succeeds says nothing about another, whose key may be on a master that is
 * away.
 */
export class WriteHealth {
  private readonly failures = new Map<object, Error>()
  private told = false

  constructor(private readonly events: Pick<BusEvents, 'busFailed' | 'busRecovered'>) {}

  failed(who: object, error: unknown): void {
    const failure = error instanceof Error ? error : new Error(String(error))
    this.failures.set(who, failure)
    if (this.told) return
    this.told = true
    this.events.busFailed(failure)
  }

  succeeded(who: object): void {
    if (!this.told) return
    this.failures.delete(who)
    if (this.failures.size > 0) return
    this.told = false
    this.events.busRecovered()
  }

  /** It asks nothing any more. */
  ended(who: object): void {
    this.failures.delete(who)
  }

  readiness(): Readiness {
    const [failure] = this.failures.values()
    if (failure === undefined) return { ready: true }
    return { ready: false, reason: `Messages do not get from node to node: ${failure.message}` }
  }
}
