import type { Clock, Timer } from '../../broker/contract/clock.js'
import type { RecordDropReason } from '../../broker/contract/connector.js'
import type { BridgeEvents, PipelineProgress } from '../../broker/contract/events.js'

/** Between two reports of progress. */
const REPORT_MS = 1_000
/** Between two reports that records were dropped for one reason, or that something is retried. */
const NOTICE_MS = 10_000

export interface Gauges {
  readonly groups: number
  readonly unsettled: number
  /** Counters of others, from their beginning. */
  readonly partlyLate: number
  readonly overflowed: number
}

/**
 * What one pipeline counts, and when it speaks of it. Counting a record is one addition; what goes out is bounded
 * in time, however many records are bad.
 */
export class Tally {
  recordsIn = 0
  recordsOut = 0
  filtered = 0
  windowsClosed = 0
  settledEarly = 0

  private retries = 0
  private dropped: Partial<Record<RecordDropReason, number>> = {}
  private readonly notices = new Map<RecordDropReason, Notice>()
  private lastRetryNotice = -Infinity
  private lastWindowEnd: number | undefined
  private partlyLateBefore = 0
  private overflowedBefore = 0
  private timer: Timer | undefined

  constructor(
    private readonly pipeline: string,
    private readonly clock: Clock,
    private readonly events: BridgeEvents,
    private readonly gauges: () => Gauges,
  ) {}

  start(): void {
    this.timer = this.clock.schedule(REPORT_MS, () => {
      this.report()
      this.start()
    })
  }

  /** Reports what is left. */
  stop(): void {
    this.timer?.cancel()
    this.timer = undefined
    for (const [reason, notice] of this.notices) this.tell(reason, notice)
    this.report()
  }

  drop(reason: RecordDropReason, topic: string, detail: string, count = 1): void {
    this.dropped[reason] = (this.dropped[reason] ?? 0) + count
    let notice = this.notices.get(reason)
    if (notice === undefined) {
      notice = { count: 0, toldAt: -Infinity, topic, detail }
      this.notices.set(reason, notice)
    }
    notice.count += count
    notice.topic = topic
    notice.detail = detail
    if (this.clock.now() - notice.toldAt >= NOTICE_MS) this.tell(reason, notice)
  }

  retry(what: 'source' | 'sink', attempt: number, delayMs: number, error: Error): void {
    this.retries++
    const now = this.clock.now()
    if (now - this.lastRetryNotice < NOTICE_MS) return
    this.lastRetryNotice = now
    this.events.pipelineRetrying(this.pipeline, what, attempt, delayMs, error)
  }

  closed(results: readonly { readonly windowEnd: number }[]): void {
    this.windowsClosed += results.length
    for (const { windowEnd } of results)
      if (this.lastWindowEnd === undefined || windowEnd > this.lastWindowEnd) this.lastWindowEnd = windowEnd
  }

  private tell(reason: RecordDropReason, notice: Notice): void {
    if (notice.count === 0) return
    this.events.recordsDropped(this.pipeline, reason, notice.count, notice.topic, notice.detail)
    notice.count = 0
    notice.toldAt = this.clock.now()
  }

  private report(): void {
    const now = this.clock.now()
    const { groups, unsettled, partlyLate, overflowed } = this.gauges()
    if (overflowed > this.overflowedBefore)
      this.drop('overflow', '', 'the pipeline was behind', overflowed - this.overflowedBefore)
    this.overflowedBefore = overflowed
    for (const [reason, notice] of this.notices)
      if (now - notice.toldAt >= NOTICE_MS) this.tell(reason, notice)
    const progress: PipelineProgress = {
      recordsIn: this.recordsIn,
      recordsOut: this.recordsOut,
      filtered: this.filtered,
      dropped: this.dropped,
      partlyLate: partlyLate - this.partlyLateBefore,
      windowsClosed: this.windowsClosed,
      retries: this.retries,
      settledEarly: this.settledEarly,
      lagMs: this.lastWindowEnd === undefined ? undefined : now - this.lastWindowEnd,
      groups,
      unsettled,
    }
    this.recordsIn = this.recordsOut = this.filtered = this.windowsClosed = 0
    this.retries = this.settledEarly = 0
    this.dropped = {}
    this.partlyLateBefore = partlyLate
    this.events.pipelineProgress(this.pipeline, progress)
  }
}

/** What has not been told yet about one reason. The reasons are a closed set, so these are few. */
interface Notice {
  count: number
  toldAt: number
  topic: string
  detail: string
}
