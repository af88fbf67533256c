import type { Registry } from 'prom-client'
import type { HookName, PipelineDropReason, PipelineEvents } from '../contract/events.js'
import { counter, labeledCounter, type Cell } from './cells.js'
import { errorFields, type EventLog } from './event-log.js'
import { hookNames } from './labels.js'
import type { MessageDrops } from './message-drops.js'
import { printable } from './printable.js'

export class PipelineTelemetry implements PipelineEvents {
  private readonly hooks: Readonly<Record<HookName, Cell>>
  private readonly listeners: Cell
  private readonly defects: Cell

  constructor(
    registry: Registry,
    private readonly log: EventLog,
    private readonly drops: MessageDrops,
  ) {
    this.hooks = labeledCounter(registry, {
      name: 'hook_failures_total',
      help: 'Hooks of the embedding program that threw; what they were to decide was refused.',
      label: 'hook',
      values: hookNames,
    })
    this.listeners = counter(registry, {
      name: 'listener_failures_total',
      help: 'Listeners and handlers of the embedding program that threw.',
    })
    this.defects = counter(registry, {
      name: 'defects_total',
      help: 'Things that cannot happen and did; each is an error line in the log.',
    })
  }

  messageDropped(reason: PipelineDropReason, clientId: string | undefined, count: number): void {
    this.drops.add(reason, count)
    this.log.debug(
      'message_dropped',
      () => ({ reason, client: clientId === undefined ? undefined : printable(clientId), count }),
      'messages dropped in the publish pipeline',
    )
  }

  hookFailed(hook: HookName, error: Error): void {
    this.hooks[hook].count++
    this.log.warn('hook_failed', hook, { hook, ...errorFields(error) }, `the hook ${hook} failed: refused`)
  }

  listenerFailed(error: Error): void {
    this.listeners.count++
    this.log.warn('listener_failed', '', errorFields(error), 'a listener of the embedding program failed')
  }

  subscriberFailed(clientId: string, error: Error): void {
    this.defects.count++
    const fields = { client: printable(clientId), ...errorFields(error) }
    this.log.error('subscriber_failed', clientId, fields, 'a delivery failed inside the gateway')
  }

  engineFailed(error: Error): void {
    this.defects.count++
    this.log.error('engine_failed', '', errorFields(error), 'the engine reported an error')
  }

  /** What a part could not do anything about: `onDefect` of the session layer. */
  defect(error: unknown): void {
    this.defects.count++
    this.log.error('defect', '', errorFields(error), 'something that cannot happen has happened')
  }
}
