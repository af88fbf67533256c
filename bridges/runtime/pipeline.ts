import type { Clock, Timer } from '../../broker/contract/clock.js'
import {
  Rejected,
  Retryable,
  type BridgeRecord,
  type Decoder,
  type Encoder,
  type Sink,
  type Source,
  type Transform,
  type Window,
} from '../../broker/contract/connector.js'
import type { BridgeEvents, PipelineState } from '../../broker/contract/events.js'
import { Backoff, type BackoffSettings } from './backoff.js'
import { Ledger } from './ledger.js'
import { Stages } from './stages.js'
import { Tally } from './tally.js'
import { Wakeup } from './wakeup.js'

/**
 * How often windows are asked what has closed, whether much arrives or nothing: asking costs a look at every group,
 * and a chart does not see a fifth of a second.
 */
const WINDOW_TICK_MS = 200

export interface PipelineParts {
  readonly name: string
  readonly source: Source
  readonly decoder: Decoder
  readonly transforms: readonly Transform[]
  readonly window: Window | undefined
  readonly encoder: Encoder
  readonly sink: Sink
  /** What becomes of open windows when the pipeline is stopped. */
  readonly onStop: 'flush' | 'discard'
  readonly retry: BackoffSettings & {
    /** From the first failure of a write until its records are dropped, milliseconds; undefined: never. */
    readonly giveUpAfterMs: number | undefined
  }
}

export interface PipelineServices {
  readonly clock: Clock
  readonly random: () => number
  readonly events: BridgeEvents
}

/**
 * Runs one pipeline: one loop that reads a batch, takes it through the stages, and waits until the sink has what
 * came out before it reads on. While it waits nothing is read, so memory is bounded by the batch, the windows and
 * the source's own buffer.
 *
 * It ends in the order of the data: the source takes nothing more in, what has arrived goes through, windows close
 * (or are discarded), the sink gets the rest, then sink and source let go.
 */
export class Pipeline {
  readonly name: string

  private readonly ledger: Ledger
  private readonly stages: Stages
  private readonly tally: Tally
  private readonly wakeup = new Wakeup()
  private readonly pauses = new Set<() => void>()

  private inbox: readonly BridgeRecord[] | undefined
  private reading = false
  private sourceEnded = false
  private running: Promise<void> | undefined
  private tick: Timer | undefined
  private windowsDue = false
  private stopping = false
  private opened = false
  /** The time to stop in order is over: nothing is retried or waited for any more. */
  private forced = false
  private state: PipelineState | undefined

  constructor(
    private readonly parts: PipelineParts,
    private readonly services: PipelineServices,
  ) {
    const { name, source, window } = parts
    this.name = name
    this.ledger = new Ledger((token) => source.settle(token))
    this.tally = new Tally(name, services.clock, services.events, () => ({
      groups: window?.groups ?? 0,
      unsettled: this.ledger.unsettled,
      partlyLate: window?.partlyLate ?? 0,
      overflowed: source.dropped,
    }))
    this.stages = new Stages(parts, this.ledger, this.tally)
  }

  /**
   * Resolves when the pipeline runs, or when its first attempt to reach its systems has failed; it then goes on
   * trying by itself.
   */
  async start(): Promise<void> {
    this.enter('starting')
    this.tally.start()
    await new Promise<void>((firstAttempt) => {
      this.running = this.run(firstAttempt)
    })
  }

  /** In the order of the data, within `graceMs`; then by force. Resolves when everything is released. Idempotent. */
  async stop(graceMs: number): Promise<void> {
    this.stopping = true
    this.parts.source.stop()
    this.endPauses()
    // Nothing has come in yet: there is nothing to wait for.
    if (!this.opened) this.force()
    const deadline = this.services.clock.schedule(graceMs, () => {
      this.force()
    })
    await this.running
    deadline.cancel()
  }

  private async run(firstAttempt: () => void): Promise<void> {
    const { source, sink, window } = this.parts
    try {
      this.opened =
        (await this.open('sink', sink, firstAttempt)) && (await this.open('source', source, firstAttempt))
      if (this.opened) {
        this.enter('running')
        if (window !== undefined) this.scheduleTick()
        firstAttempt()
        await this.flow()
      }
    } finally {
      firstAttempt()
      this.tick?.cancel()
      await settled(sink.close())
      await settled(source.close())
      this.tally.stop()
      this.enter('stopped')
    }
  }

  private async flow(): Promise<void> {
    const { window, onStop } = this.parts
    while (!this.sourceEnded || this.inbox !== undefined) {
      if (this.forced) return
      this.readNext()
      await this.wakeup.wait()
      const batch = this.inbox ?? []
      this.inbox = undefined
      await this.deliver(this.stages.process(batch))
      await this.closeWindows()
    }
    if (window === undefined || onStop === 'discard') return
    const results = window.flush(this.services.clock.now())
    this.tally.closed(results)
    await this.deliver(results)
  }

  private async closeWindows(): Promise<void> {
    const { window, source } = this.parts
    if (window === undefined) return
    if (this.windowsDue) {
      this.windowsDue = false
      const results = window.advance(this.services.clock.now())
      this.tally.closed(results)
      await this.deliver(results)
    }
    // Inputs that windows hold must not hold up the ones behind them, or the windows would never close.
    if (this.ledger.unsettled < source.maxUnsettled) return
    this.tally.settledEarly += this.ledger.settleOldest(Math.floor(source.maxUnsettled / 2))
    window.forget(this.ledger.floor)
  }

  private readNext(): void {
    if (this.reading || this.sourceEnded || this.inbox !== undefined) return
    this.reading = true
    this.parts.source.read().then(
      (batch) => {
        this.reading = false
        if (batch === undefined) this.sourceEnded = true
        else this.inbox = batch
        this.wakeup.wake()
      },
      (error: unknown) => {
        void this.readFailed(error)
      },
    )
  }

  private async readFailed(error: unknown): Promise<void> {
    const backoff = this.backoff()
    for (let failure = error; !this.stopping;) {
      await this.pauseAfter('source', failure, backoff)
      try {
        await this.parts.source.open()
        break
      } catch (again) {
        failure = again
      }
    }
    this.reading = false
    if (this.stopping) this.sourceEnded = true
    else this.enter('running')
    this.wakeup.wake()
  }

  private async open(
    what: 'source' | 'sink',
    end: Source | Sink,
    firstAttempt: () => void,
  ): Promise<boolean> {
    const backoff = this.backoff()
    while (!this.stopping) {
      try {
        await end.open()
        return true
      } catch (error) {
        firstAttempt()
        await this.pauseAfter(what, error, backoff)
      }
    }
    return false
  }

  /** Writes the records, whatever it takes; when this returns they are written or counted as dropped. */
  private async deliver(records: readonly BridgeRecord[]): Promise<void> {
    if (records.length === 0) return
    const encoded = this.stages.encode(records)
    await this.write(encoded)
  }

  private async write(records: readonly BridgeRecord[]): Promise<void> {
    const { sink, retry } = this.parts
    const backoff = this.backoff()
    const begun = this.services.clock.now()
    while (records.length > 0) {
      try {
        if (this.forced) throw new Retryable('the pipeline is stopping')
        await sink.write(records)
        this.tally.recordsOut += records.length
        for (const record of records) this.ledger.release(record.tokens)
        break
      } catch (error) {
        if (error instanceof Rejected) {
          await this.writeSingly(records, error)
          break
        }
        const elapsed = this.services.clock.now() - begun
        if (this.forced) {
          // Stays unsettled: a source that can will bring it again.
          this.drop(records, 'stopped', errorText(error), false)
          return
        }
        if (retry.giveUpAfterMs !== undefined && elapsed >= retry.giveUpAfterMs) {
          this.drop(records, 'gave_up', errorText(error), true)
          break
        }
        await this.pauseAfter('sink', error, backoff)
      }
    }
    if (this.state === 'retrying') this.enter('running')
  }

  private async writeSingly(records: readonly BridgeRecord[], error: Rejected): Promise<void> {
    const [only] = records
    if (records.length === 1 && only !== undefined) {
      this.tally.drop(error.reason, only.topic, error.message)
      this.ledger.release(only.tokens)
    } else for (const record of records) await this.write([record])
  }

  private drop(
    records: readonly BridgeRecord[],
    reason: 'stopped' | 'gave_up',
    detail: string,
    settle: boolean,
  ): void {
    for (const record of records) {
      this.tally.drop(reason, record.topic, detail)
      if (settle) this.ledger.release(record.tokens)
    }
  }

  private async pauseAfter(what: 'source' | 'sink', error: unknown, backoff: Backoff): Promise<void> {
    const delayMs = backoff.next()
    const cause = error instanceof Error ? error : new Error(String(error))
    this.tally.retry(what, backoff.attempts, delayMs, cause)
    this.enter('retrying', `${what}: ${cause.message}`)
    await this.pause(delayMs)
  }

  private pause(delayMs: number): Promise<void> {
    if (this.forced) return Promise.resolve()
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel()
        this.pauses.delete(end)
        resolve()
      }
      const timer = this.services.clock.schedule(delayMs, end)
      this.pauses.add(end)
    })
  }

  private endPauses(): void {
    for (const end of this.pauses) end()
  }

  private force(): void {
    this.forced = true
    this.endPauses()
    this.wakeup.wake()
    // A write or read that is under way ends with the connector.
    void settled(this.parts.sink.close())
    void settled(this.parts.source.close())
  }

  private scheduleTick(): void {
    this.tick = this.services.clock.schedule(WINDOW_TICK_MS, () => {
      this.windowsDue = true
      this.wakeup.wake()
      this.scheduleTick()
    })
  }

  private backoff(): Backoff {
    return new Backoff(this.parts.retry, this.services.random)
  }

  private enter(state: PipelineState, detail?: string): void {
    if (this.state === state) return
    this.state = state
    this.services.events.pipelineState(this.name, state, detail)
  }
}

/** Closing has nobody to report to: whatever is wrong with the connection, it is over. */
async function settled(closing: Promise<void>): Promise<void> {
  try {
    await closing
  } catch {
    return
  }
}

function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
