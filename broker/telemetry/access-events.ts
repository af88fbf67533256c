import type { Registry } from 'prom-client'
import type { AccessEvents } from '../contract/events.js'
import { labeledCounter, labeledGauge, type Cell } from './cells.js'
import { errorFields, type EventLog } from './event-log.js'

export class AccessTelemetry implements AccessEvents {
  private readonly failures: Readonly<Record<string, Cell>>
  private readonly keys: Readonly<Record<string, Cell>>

  constructor(
    registry: Registry,
    private readonly log: EventLog,
    authenticators: readonly string[],
  ) {
    this.failures = labeledCounter(registry, {
      name: 'authenticator_failures_total',
      help: 'Decisions that failed because the authenticator itself did, or did not answer in time.',
      label: 'authenticator',
      values: authenticators,
    })
    this.keys = labeledGauge(registry, {
      name: 'authenticator_keys',
      help: 'Keys that tokens are checked with; 0: every token is refused.',
      label: 'authenticator',
      values: authenticators,
    })
  }

  authenticatorFailed(name: string, error: Error): void {
    const cell = this.failures[name]
    if (cell !== undefined) cell.count++
    this.log.warn(
      'authenticator_failed',
      name,
      { authenticator: name, ...errorFields(error) },
      `authenticator ${name} failed; the client was refused`,
    )
  }

  keysLoaded(name: string, count: number): void {
    this.setKeys(name, count)
    this.log.info('keys_loaded', name, { authenticator: name, count }, `keys of authenticator ${name} loaded`)
  }

  keysUnavailable(name: string, error: Error, keysHeld: number, retryInMs: number): void {
    this.setKeys(name, keysHeld)
    const fields = { authenticator: name, keysHeld, retryInMs, ...errorFields(error) }
    if (keysHeld > 0)
      this.log.warn(
        'keys_unavailable',
        name,
        fields,
        `keys of ${name} not refreshed; the former ones stay in use`,
      )
    else this.log.error('keys_unavailable', name, fields, `no keys of ${name}: every token is refused`)
  }

  private setKeys(name: string, count: number): void {
    const cell = this.keys[name]
    if (cell !== undefined) cell.count = count
  }
}
