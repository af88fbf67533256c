import type { Registry } from 'prom-client'
import type { DropReason } from '../contract/events.js'
import { labeledCounter, type Cell } from './cells.js'
import { dropReasons } from './labels.js'

/** Every message that somebody does not get, whichever part dropped it. */
export class MessageDrops {
  private readonly cells: Readonly<Record<DropReason, Cell>>

  constructor(registry: Registry) {
    this.cells = labeledCounter(registry, {
      name: 'messages_dropped_total',
      help: 'Messages, or deliveries of a message to one client, that were dropped, by reason.',
      label: 'reason',
      values: dropReasons,
    })
  }

  add(reason: DropReason, count: number): void {
    this.cells[reason].count += count
  }

  get total(): number {
    return Object.values(this.cells).reduce((sum, { count }) => sum + count, 0)
  }
}
