import type { BusEvents } from '../../contract/events.js'

/** Whether Redis takes what is for other nodes: told when that changes. */
export class WriteHealth {
  private failing = false

  constructor(private readonly events: Pick<BusEvents, 'busFailed' | 'busRecovered'>) {}

  failed(error: unknown): void {
    if (this.failing) return
    this.failing = true
    this.events.busFailed(error instanceof Error ? error : new Error(String(error)))
  }

  succeeded(): void {
    if (!this.failing) return
    this.failing = false
    this.events.busRecovered()
  }
}
