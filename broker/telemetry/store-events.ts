import { Histogram, type Registry } from 'prom-client'
import type { StoreEvents } from '../contract/events.js'
import { counter, gauge, PREFIX, type Cell } from './cells.js'
import { errorFields, type EventLog } from './event-log.js'
import type { MessageDrops } from './message-drops.js'
import { printable } from './printable.js'

export class StoreTelemetry implements StoreEvents {
  private readonly commits: Histogram
  private readonly operations: Cell
  private readonly failures: Cell
  private readonly damaged: Cell
  private failing = false

  constructor(
    registry: Registry,
    private readonly log: EventLog,
    private readonly drops: MessageDrops,
  ) {
    this.commits = new Histogram({
      name: `${PREFIX}store_commit_duration_seconds`,
      help: 'Time to write one group of changes to the store.',
      buckets: [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10],
      registers: [registry],
    })
    this.operations = counter(registry, {
      name: 'store_operations_total',
      help: 'Changes written to the store.',
    })
    this.failures = counter(registry, {
      name: 'store_write_failures_total',
      help: 'Groups of changes that the store could not write.',
    })
    this.damaged = counter(registry, {
      name: 'store_damaged_entries_total',
      help: 'Entries that could not be read back and were left out.',
    })
    gauge(registry, { name: 'store_writable', help: '1 while writes succeed, 0 since one failed.' }, () =>
      this.failing ? 0 : 1,
    )
  }

  opened(
    kind: string,
    details: { readonly sessions: number; readonly retained: number; readonly milliseconds: number },
  ): void {
    this.log.info('store_opened', kind, { kind, ...details }, `store ${kind} opened`)
  }

  writeFailed(error: Error): void {
    this.failures.count++
    this.failing = true
    this.log.error('store_write_failed', '', errorFields(error), 'the store cannot write')
  }

  writesRecovered(): void {
    this.failing = false
    this.log.info('store_writes_recovered', '', {}, 'the store writes again')
  }

  risk(description: string): void {
    this.log.warn('store_risk', description, {}, description)
  }

  entryDamaged(what: string, key: string, error: Error): void {
    this.damaged.count++
    this.log.error(
      'store_entry_damaged',
      what,
      { what, key: printable(key), ...errorFields(error) },
      'an entry of the store cannot be read and is left out',
    )
  }

  queueDropped(clientId: string, policy: 'refuse-new' | 'drop-oldest', count: number): void {
    this.drops.add('queue_full', count)
    this.log.warn(
      'queue_dropped',
      clientId,
      { client: printable(clientId), policy, count },
      'queued messages dropped: the queue of the session is full',
    )
  }

  messagesExpired(clientId: string, count: number): void {
    this.drops.add('expired', count)
    this.log.debug(
      'queued_messages_expired',
      () => ({ client: printable(clientId), count }),
      'queued messages expired',
    )
  }

  committed(operations: number, milliseconds: number): void {
    this.operations.count += operations
    this.commits.observe(milliseconds / 1_000)
  }
}
