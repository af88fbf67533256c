import {
  Rejected,
  type BridgeRecord,
  type Captures,
  type Window,
  type WindowResult,
} from '../../../broker/contract/connector.js'
import type { Duration } from '../../duration.js'
import { FieldPath } from '../../field-path.js'
import { Aggregate, type AggregateName } from './aggregate.js'

export interface TumblingOptions {
  readonly sizes: readonly Duration[]
  readonly by: readonly string[]
  readonly value: string
  readonly time: string | undefined
  readonly timeUnit: 'ms' | 's' | 'iso'
  readonly lateness: Duration
  readonly idle: Duration
  readonly maxAhead: Duration
  readonly maxBehind: Duration
  readonly maxGroups: number
  readonly aggregates: readonly AggregateName[]
}

/** A silent group is forgotten after so many of the longest windows, but not before ten minutes. */
const FORGET_AFTER_WINDOWS = 10
const FORGET_AFTER_MS = 600_000

/**
 * Windows of fixed length that follow one another without gap or overlap, by event time: `[start, end)` with `start`
 * a multiple of the length since the epoch.
 *
 * Each group has its own watermark, the time up to which its readings are taken to be complete: the latest event
 * time seen, minus the allowed lateness. A window closes when the watermark has reached its end; what comes for it
 * after that is late. One device whose clock is wrong, or who sends what it has stored while it was offline, thereby
 * touches its own group only. Three rules make that safe:
 * - no reading moves the watermark past our own clock, so a device that is ahead closes nothing early;
 * - a reading farther ahead than `maxAhead`, or behind `maxBehind`, is refused;
 * - when event time has not moved for `idle`, it moves on with our clock, so that a quiet group closes its windows.
 */
export class TumblingWindow implements Window {
  private readonly groupsByKey = new Map<string, Group>()
  private readonly value: FieldPath
  private readonly time: FieldPath | undefined
  private readonly forgetAfterMs: number
  private late = 0

  constructor(private readonly options: TumblingOptions) {
    this.value = new FieldPath(options.value)
    this.time = options.time === undefined ? undefined : new FieldPath(options.time)
    const longest = Math.max(...options.sizes.map(({ ms }) => ms))
    this.forgetAfterMs = Math.max(FORGET_AFTER_MS, longest * FORGET_AFTER_WINDOWS)
  }

  get groups(): number {
    return this.groupsByKey.size
  }

  get partlyLate(): number {
    return this.late
  }

  add(record: BridgeRecord): number {
    const value = this.value.number(record.value)
    if (value === undefined) throw new Rejected('no_number', `no number in field \`${this.options.value}\``)
    const time = this.eventTime(record)
    const group = this.group(record)

    let taken = 0
    for (const size of this.options.sizes) {
      const start = Math.floor(time / size.ms) * size.ms
      if (start + size.ms <= group.watermark) continue
      const pane = group.pane(size, start)
      pane.aggregate.add(value, time)
      for (const token of record.tokens) pane.tokens.push(token)
      taken++
    }
    group.saw(time, record.receivedAt, this.options.lateness.ms)
    if (taken === 0)
      throw new Rejected('late', `${Math.round(group.watermark - time)} ms behind the watermark of its group`)
    if (taken < this.options.sizes.length) this.late++
    return taken
  }

  advance(now: number): readonly WindowResult[] {
    const results: WindowResult[] = []
    for (const [key, group] of this.groupsByKey) {
      for (const pane of this.takeClosed(group, now)) results.push(this.result(group, pane, now, false))
      if (group.empty && now - group.lastSeen > this.forgetAfterMs) this.groupsByKey.delete(key)
    }
    return results.sort(byEnd)
  }

  flush(now: number): readonly WindowResult[] {
    const results: WindowResult[] = []
    for (const group of this.groupsByKey.values()) {
      for (const pane of this.takeClosed(group, now)) results.push(this.result(group, pane, now, false))
      for (const pane of group.takeAll()) results.push(this.result(group, pane, now, true))
    }
    return results.sort(byEnd)
  }

  forget(below: number): void {
    for (const group of this.groupsByKey.values()) group.forgetTokens(below)
  }

  private takeClosed(group: Group, now: number): readonly Pane[] {
    const { idle, lateness } = this.options
    return group.takeClosed(group.timeAt(now, idle.ms) - lateness.ms)
  }

  private eventTime(record: BridgeRecord): number {
    if (this.time === undefined) return record.receivedAt
    const time = timeOf(this.time.get(record.value), this.options.timeUnit)
    if (time === undefined) throw new Rejected('no_time', `no time in field \`${this.time.text}\``)
    const ahead = time - record.receivedAt
    if (ahead > this.options.maxAhead.ms)
      throw new Rejected('time_ahead', `${Math.round(ahead)} ms ahead of our clock`)
    if (-ahead > this.options.maxBehind.ms)
      throw new Rejected('time_behind', `${Math.round(-ahead)} ms behind our clock`)
    record.eventTime = time
    return time
  }

  private group(record: BridgeRecord): Group {
    // U+0000 is in no topic [MQTT-4.7.3-2], so it parts captures without doubt.
    let key = ''
    for (const name of this.options.by) key += `${record.captures[name] ?? ''}\0`
    let group = this.groupsByKey.get(key)
    if (group !== undefined) return group
    if (this.groupsByKey.size >= this.options.maxGroups)
      throw new Rejected('too_many_groups', `there are ${this.options.maxGroups} groups already`)
    const captures = Object.fromEntries(this.options.by.map((name) => [name, record.captures[name] ?? '']))
    group = new Group(captures)
    this.groupsByKey.set(key, group)
    return group
  }

  private result(group: Group, pane: Pane, now: number, partial: boolean): WindowResult {
    const { size, start, end, aggregate, tokens } = pane
    const figures = aggregate.figures(this.options.aggregates)
    return {
      topic: Object.values(group.captures).join('/'),
      captures: { ...group.captures, window: size.text },
      payload: NOTHING,
      value: partial ? { start, end, ...figures, partial } : { start, end, ...figures },
      eventTime: start,
      receivedAt: now,
      tokens,
      windowEnd: end,
    }
  }
}

/** The open window of one length and start. */
class Pane {
  readonly aggregate = new Aggregate()
  tokens: number[] = []

  constructor(
    readonly size: Duration,
    readonly start: number,
    readonly end: number,
  ) {}
}

class Group {
  /** Every window that ends at or before this time is closed. */
  watermark = -Infinity
  /** Latest event time seen, never ahead of our clock, and when it last moved by our clock. */
  private latest = -Infinity
  private movedAt = 0
  private seenAt = 0
  /** Few: as many as windows fit into the lateness, for each length. */
  private panes: Pane[] = []
  private earliestEnd = Infinity

  constructor(readonly captures: Captures) {}

  get empty(): boolean {
    return this.panes.length === 0
  }

  get lastSeen(): number {
    return this.seenAt
  }

  pane(size: Duration, start: number): Pane {
    for (const pane of this.panes) if (pane.start === start && pane.size === size) return pane
    const pane = new Pane(size, start, start + size.ms)
    this.panes.push(pane)
    this.earliestEnd = Math.min(this.earliestEnd, pane.end)
    return pane
  }

  saw(time: number, receivedAt: number, lateness: number): void {
    this.seenAt = receivedAt
    const bounded = Math.min(time, receivedAt)
    if (bounded <= this.latest) return
    this.latest = bounded
    this.movedAt = receivedAt
    this.raise(bounded - lateness)
  }

  /** Event time of the group at a moment of ours: when it has not moved for `idle`, it moves on with our clock. */
  timeAt(now: number, idle: number): number {
    return this.latest + Math.max(0, now - this.movedAt - idle)
  }

  /**
   * Takes the windows that end at or before `time`. The watermark follows to the last of them and no farther:
   * after a silence, what a device has stored meanwhile is not late.
   */
  takeClosed(time: number): readonly Pane[] {
    const bound = Math.max(time, this.watermark)
    if (this.earliestEnd > bound) return NO_PANES
    const closed = this.panes.filter(({ end }) => end <= bound)
    this.panes = this.panes.filter(({ end }) => end > bound)
    this.earliestEnd = Math.min(...this.panes.map(({ end }) => end))
    for (const { end } of closed) this.raise(end)
    return closed
  }

  takeAll(): readonly Pane[] {
    const all = this.panes
    this.panes = []
    this.earliestEnd = Infinity
    return all
  }

  forgetTokens(below: number): void {
    for (const pane of this.panes) {
      const [oldest] = pane.tokens
      if (oldest !== undefined && oldest < below) pane.tokens = pane.tokens.filter((token) => token >= below)
    }
  }

  private raise(watermark: number): void {
    if (watermark > this.watermark) this.watermark = watermark
  }
}

function timeOf(field: unknown, unit: TumblingOptions['timeUnit']): number | undefined {
  if (unit === 'iso') {
    if (typeof field !== 'string' || !ISO_8601.test(field)) return undefined
    const time = Date.parse(field)
    return Number.isNaN(time) ? undefined : time
  }
  if (typeof field !== 'number' || !Number.isFinite(field)) return undefined
  return unit === 's' ? field * 1_000 : field
}

function byEnd(left: WindowResult, right: WindowResult): number {
  return left.windowEnd - right.windowEnd
}

/** With a zone: what a local time means is not ours to guess. */
const ISO_8601 = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)$/
const NO_PANES: readonly Pane[] = []
const NOTHING = new Uint8Array(0)
