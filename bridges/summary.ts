import type { Clock } from '../broker/contract/clock.js'
import type { RecordDropReason } from '../broker/contract/connector.js'
import type { BridgeEvents, PipelineProgress, PipelineState } from '../broker/contract/events.js'

/** What pipelines have done, as `openclaw bridges --json` prints it. */
export interface BridgesSummary {
  readonly seconds: number
  readonly pipelines: Readonly<Record<string, PipelineSummary>>
}

export interface PipelineSummary {
  readonly recordsIn: number
  readonly recordsOut: number
  readonly filtered: number
  readonly windowsClosed: number
  readonly partlyLate: number
  readonly retries: number
  readonly settledEarly: number
  readonly dropped: Readonly<Partial<Record<RecordDropReason, number>>>
}

/** Adds up progress on its way to the log and the metrics. */
export class Summary implements BridgeEvents {
  private readonly totals = new Map<string, PipelineSummary>()
  private readonly begun: number

  constructor(
    private readonly next: BridgeEvents,
    private readonly clock: Clock,
  ) {
    this.begun = clock.now()
  }

  result(): BridgesSummary {
    return {
      seconds: (this.clock.now() - this.begun) / 1_000,
      pipelines: Object.fromEntries(this.totals),
    }
  }

  pipelineProgress(pipeline: string, progress: PipelineProgress): void {
    const total = this.totals.get(pipeline) ?? NOTHING
    const dropped = { ...total.dropped }
    for (const [reason, count] of Object.entries(progress.dropped) as [RecordDropReason, number][])
      dropped[reason] = (dropped[reason] ?? 0) + count
    this.totals.set(pipeline, {
      recordsIn: total.recordsIn + progress.recordsIn,
      recordsOut: total.recordsOut + progress.recordsOut,
      filtered: total.filtered + progress.filtered,
      windowsClosed: total.windowsClosed + progress.windowsClosed,
      partlyLate: total.partlyLate + progress.partlyLate,
      retries: total.retries + progress.retries,
      settledEarly: total.settledEarly + progress.settledEarly,
      dropped,
    })
    this.next.pipelineProgress(pipeline, progress)
  }

  pipelineState(pipeline: string, state: PipelineState, detail: string | undefined): void {
    this.next.pipelineState(pipeline, state, detail)
  }

  recordsDropped(
    pipeline: string,
    reason: RecordDropReason,
    count: number,
    topic: string,
    detail: string,
  ): void {
    this.next.recordsDropped(pipeline, reason, count, topic, detail)
  }

  pipelineRetrying(
    pipeline: string,
    what: 'source' | 'sink',
    attempt: number,
    delayMs: number,
    error: Error,
  ): void {
    this.next.pipelineRetrying(pipeline, what, attempt, delayMs, error)
  }

  bridgeWorkerExited(error: Error, restartInMs: number): void {
    this.next.bridgeWorkerExited(error, restartInMs)
  }
}

const NOTHING: PipelineSummary = {
  recordsIn: 0,
  recordsOut: 0,
  filtered: 0,
  windowsClosed: 0,
  partlyLate: 0,
  retries: 0,
  settledEarly: 0,
  dropped: {},
}
