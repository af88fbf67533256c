import { Counter, Gauge, type Registry } from 'prom-client'
import { recordDropReasons, type RecordDropReason } from '../contract/connector.js'
import type { BridgeEvents, PipelineProgress, PipelineState } from '../contract/events.js'
import { counter, PREFIX, type Cell } from './cells.js'
import { errorFields, type EventLog } from './event-log.js'
import { printable } from './printable.js'

/**
 * Pipelines report once a second, so prom-client's own metrics are fast enough here. The label `pipeline` holds names
 * from the bridges file: as many as the operator wrote.
 */
export class BridgeTelemetry implements BridgeEvents {
  private readonly counters: Readonly<Record<CountedProgress, Counter>>
  private readonly dropped: Counter
  private readonly gauges: Readonly<Record<GaugedProgress, Gauge>>
  private readonly lag: Gauge
  private readonly state: Gauge
  private readonly workerExits: Cell

  constructor(
    registry: Registry,
    private readonly log: EventLog,
  ) {
    const registers = [registry]
    const count = (name: string, help: string): Counter =>
      new Counter({ name: `${PREFIX}bridge_${name}_total`, help, labelNames: ['pipeline'], registers })
    const gauge = (name: string, help: string): Gauge =>
      new Gauge({ name: `${PREFIX}bridge_${name}`, help, labelNames: ['pipeline'], registers })
    this.counters = {
      recordsIn: count('records_in', 'Records read from the source.'),
      recordsOut: count('records_out', 'Records written to the sink.'),
      filtered: count('records_filtered', 'Records left out by a transform, on purpose.'),
      partlyLate: count(
        'records_partly_late',
        'Records late for one of several windows, in time for another.',
      ),
      windowsClosed: count('windows_closed', 'Windows closed.'),
      retries: count('retries', 'Times that a source or sink was tried again.'),
      settledEarly: count(
        'settled_early',
        'QoS 1 inputs settled before their window was published, since too many were waiting.',
      ),
    }
    this.dropped = new Counter({
      name: `${PREFIX}bridge_records_dropped_total`,
      help: 'Records dropped, by reason.',
      labelNames: ['pipeline', 'reason'],
      registers,
    })
    this.gauges = {
      groups: gauge('groups', 'Groups that windows remember.'),
      unsettled: gauge('unsettled', 'Inputs that wait for being settled.'),
    }
    this.lag = gauge(
      'lag_seconds',
      'Now minus the end of the last closed window; absent before the first one.',
    )
    this.state = new Gauge({
      name: `${PREFIX}bridge_state`,
      help: '1 for the state that the pipeline is in, 0 for the others.',
      labelNames: ['pipeline', 'state'],
      registers,
    })
    this.workerExits = counter(registry, {
      name: 'bridge_worker_exits_total',
      help: 'Times that the worker of the pipelines ended by itself and was started again.',
    })
  }

  pipelineState(pipeline: string, state: PipelineState, detail: string | undefined): void {
    if (state === 'starting') this.introduce(pipeline)
    for (const other of pipelineStates) this.state.set({ pipeline, state: other }, other === state ? 1 : 0)
    const fields = { pipeline, state, ...(detail === undefined ? {} : { detail: printable(detail, 300) }) }
    const text = `pipeline ${pipeline}: ${state}`
    if (state === 'retrying') this.log.warn('pipeline_state', pipeline, fields, text)
    else this.log.info('pipeline_state', pipeline, fields, text)
  }

  pipelineProgress(pipeline: string, progress: PipelineProgress): void {
    for (const key of countedProgress) this.counters[key].inc({ pipeline }, progress[key])
    for (const key of gaugedProgress) this.gauges[key].set({ pipeline }, progress[key])
    for (const reason of recordDropReasons)
      this.dropped.inc({ pipeline, reason }, progress.dropped[reason] ?? 0)
    if (progress.lagMs !== undefined) this.lag.set({ pipeline }, progress.lagMs / 1_000)
  }

  recordsDropped(
    pipeline: string,
    reason: RecordDropReason,
    count: number,
    topic: string,
    detail: string,
  ): void {
    this.log.warn(
      `records_dropped_${reason}`,
      pipeline,
      { pipeline, reason, count, topic: printable(topic), detail: printable(detail, 300) },
      `pipeline ${pipeline} dropped records: ${reason}`,
    )
  }

  pipelineRetrying(
    pipeline: string,
    what: 'source' | 'sink',
    attempt: number,
    delayMs: number,
    error: Error,
  ): void {
    this.log.warn(
      'pipeline_retrying',
      pipeline,
      { pipeline, what, attempt, delayMs, ...errorFields(error) },
      `pipeline ${pipeline} tries its ${what} again`,
    )
  }

  bridgeWorkerExited(error: Error, restartInMs: number): void {
    this.workerExits.count++
    this.log.error(
      'bridge_worker_exited',
      '',
      { restartInMs, ...errorFields(error) },
      'the worker of the pipelines ended and is started again',
    )
  }

  /** Every series of the pipeline exists from its start. */
  private introduce(pipeline: string): void {
    for (const key of countedProgress) this.counters[key].inc({ pipeline }, 0)
    for (const key of gaugedProgress) this.gauges[key].set({ pipeline }, 0)
    for (const reason of recordDropReasons) this.dropped.inc({ pipeline, reason }, 0)
  }
}

const countedProgress = [
  'recordsIn',
  'recordsOut',
  'filtered',
  'partlyLate',
  'windowsClosed',
  'retries',
  'settledEarly',
] as const
type CountedProgress = (typeof countedProgress)[number]

const gaugedProgress = ['groups', 'unsettled'] as const
type GaugedProgress = (typeof gaugedProgress)[number]

const pipelineStates: readonly PipelineState[] = ['starting', 'running', 'retrying', 'stopped']
