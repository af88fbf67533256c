import type { Registry } from 'prom-client'
import type { BusDropReason, BusEvents } from '../contract/events.js'
import { counter, labeledCounter, type Cell } from './cells.js'
import { errorFields, type EventLog } from './event-log.js'
import { busDropReasons } from './labels.js'
import { printable } from './printable.js'

const directions = ['written', 'read'] as const
type ByDirection = Readonly<Record<(typeof directions)[number], Cell>>

export class BusTelemetry implements BusEvents {
  private readonly entries: ByDirection
  private readonly items: ByDirection
  private readonly bytes: ByDirection
  private readonly drops: Readonly<Record<BusDropReason, Cell>>
  private readonly damaged: Cell
  private readonly gaps: Cell

  constructor(
    registry: Registry,
    private readonly log: EventLog,
  ) {
    const byDirection = (name: string, help: string): ByDirection =>
      labeledCounter(registry, { name, help, label: 'direction', values: directions })
    this.entries = byDirection('bus_entries_total', 'Entries that nodes have exchanged: one a tick and node.')
    this.items = byDirection('bus_items_total', 'Messages, questions and answers in them.')
    this.bytes = byDirection('bus_bytes_total', 'Bytes of them.')
    this.drops = labeledCounter(registry, {
      name: 'bus_dropped_total',
      help: 'Messages for other nodes that were dropped. Those in the queue of a session are delivered from there.',
      label: 'reason',
      values: busDropReasons,
    })
    this.damaged = counter(registry, {
      name: 'bus_damaged_entries_total',
      help: 'Entries of other nodes, and values of what they want, that could not be read.',
    })
    this.gaps = counter(registry, {
      name: 'bus_gaps_total',
      help: 'Times that entries of other nodes were lost, and queues and interest were read anew.',
    })
  }

  entryWritten(items: number, bytes: number): void {
    this.entries.written.count++
    this.items.written.count += items
    this.bytes.written.count += bytes
  }

  entryRead(items: number, bytes: number): void {
    this.entries.read.count++
    this.items.read.count += items
    this.bytes.read.count += bytes
  }

  busEntryDamaged(error: Error): void {
    this.damaged.count++
    this.log.warn('bus_entry_damaged', '', errorFields(error), 'an entry of another node cannot be read')
  }

  interestDamaged(key: string): void {
    this.damaged.count++
    this.log.warn('interest_damaged', key, { key: printable(key) }, 'what a node wants cannot be read')
  }

  busEntriesMissed(node: string | undefined): void {
    this.gaps.count++
    this.log.warn('bus_entries_missed', node ?? '', { from: node }, 'entries of other nodes are lost')
  }

  busDropped(reason: BusDropReason, count: number): void {
    this.drops[reason].count += count
    this.log.warn('bus_dropped', reason, { reason, count }, 'messages for other nodes dropped')
  }

  busFailed(error: Error): void {
    this.log.warn('bus_failed', '', errorFields(error), 'Redis does not take what is for other nodes')
  }

  busRecovered(): void {
    this.log.info('bus_recovered', '', {}, 'Redis takes what is for other nodes again')
  }
}
