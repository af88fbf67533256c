import type { BridgeRecord, Sink, Source } from '../../broker/contract/connector.js'
import type { BridgeEvents, PipelineProgress } from '../../broker/contract/events.js'

/** Lets everything that is ready run. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Adds up progress and keeps every other event as text. */
export class RecordedEvents implements BridgeEvents {
  readonly log: string[] = []
  readonly totals: Record<string, number> = {}
  last: PipelineProgress | undefined

  pipelineProgress(_pipeline: string, progress: PipelineProgress): void {
    this.last = progress
    for (const [key, value] of Object.entries({ ...progress, ...progress.dropped }))
      if (typeof value === 'number') this.totals[key] = (this.totals[key] ?? 0) + value
  }

  pipelineState(pipeline: string, state: string): void {
    this.log.push(`${pipeline} ${state}`)
  }

  recordsDropped(pipeline: string, reason: string, count: number, topic: string): void {
    this.log.push(`${pipeline} dropped ${count} ${reason} ${topic}`)
  }

  pipelineRetrying(pipeline: string, what: string, attempt: number): void {
    this.log.push(`${pipeline} retrying ${what} ${attempt}`)
  }

  bridgeWorkerExited(error: Error): void {
    this.log.push(`worker exited: ${error.message}`)
  }
}

export function recordOf(value: unknown, fields: Partial<BridgeRecord> = {}): BridgeRecord {
  const receivedAt = fields.receivedAt ?? 1_700_000_000_000
  return {
    topic: 't',
    captures: {},
    payload: Buffer.from(JSON.stringify(value)),
    value,
    eventTime: receivedAt,
    receivedAt,
    tokens: [],
    ...fields,
  }
}

/** A source that a test feeds. */
export class FedSource implements Source {
  maxUnsettled = 1_000
  dropped = 0
  readonly settled: number[] = []
  /** What the next calls of `open` throw. */
  openFailures: Error[] = []
  closed = false
  private waiting: BridgeRecord[] = []
  private stopped = false
  private reader: (() => void) | undefined

  feed(...records: BridgeRecord[]): void {
    this.waiting.push(...records)
    this.reader?.()
  }

  open(): Promise<void> {
    const failure = this.openFailures.shift()
    return failure === undefined ? Promise.resolve() : Promise.reject(failure)
  }

  async read(): Promise<readonly BridgeRecord[] | undefined> {
    while (this.waiting.length === 0) {
      if (this.stopped) return undefined
      await new Promise<void>((resolve) => (this.reader = resolve))
    }
    const records = this.waiting
    this.waiting = []
    return records
  }

  settle(token: number): void {
    this.settled.push(token)
  }

  stop(): void {
    this.stopped = true
    this.reader?.()
  }

  close(): Promise<void> {
    this.stop()
    this.closed = true
    return Promise.resolve()
  }
}

/** A sink that keeps what it was given, as decoded JSON, after failing as often as a test wants. */
export class KeptSink implements Sink {
  readonly written: unknown[] = []
  /** What the next calls of `write` throw; `pending` never ends before the sink is closed. */
  failures: (Error | 'pending')[] = []
  /** Throws for a record it will never take. */
  judge: (value: unknown) => void = () => {}
  closed = false
  private release: ((error: Error) => void) | undefined

  open(): Promise<void> {
    return Promise.resolve()
  }

  async write(records: readonly BridgeRecord[]): Promise<void> {
    const failure = this.failures.shift()
    if (failure === 'pending') await new Promise<void>((_, reject) => (this.release = reject))
    else if (failure !== undefined) throw failure
    for (const { value } of records) this.judge(value)
    this.written.push(...records.map(({ payload }) => JSON.parse(Buffer.from(payload).toString()) as unknown))
  }

  close(): Promise<void> {
    this.closed = true
    this.release?.(new Error('closed'))
    return Promise.resolve()
  }
}
