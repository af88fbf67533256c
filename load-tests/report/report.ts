import { ratiosOf, spreadOf, type Spread } from '../measure/statistics.js'
import { metricInfo, metricNames, type MetricName, type Metrics } from './metrics.js'

/** Everything a run of `openclaw load` has found, as `--json` prints it. Grows by optional members only. */
export interface LoadReport {
  readonly format: 1
  /** ISO 8601. */
  readonly startedAt: string
  readonly command: string
  readonly machine: Machine
  readonly brokers: readonly BrokerInfo[]
  readonly rows: readonly Row[]
}

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGigabytes: number
  readonly system: string
  readonly node: string
  /** As `taskset` writes it; undefined: not pinned. */
  readonly brokerCores: string | undefined
  readonly loadCores: string | undefined
  readonly workers: number
  /** Load average over the minute before the first run: what else the machine was doing. */
  readonly loadAverage: number
}

export interface BrokerInfo {
  readonly name: string
  readonly version: string
  readonly settings: string
}

/** One piece of work, done by each broker in turns. */
export interface Row {
  readonly title: string
  readonly scenario: string
  /** How the work was set, by option. */
  readonly settings: Readonly<Record<string, string | number>>
  /** The figure that the row is about. */
  readonly figure: MetricName
  /** Brokers in the order of their turns; the first is compared with each of the others. */
  readonly brokers: readonly string[]
  readonly runs: readonly Run[]
  /** Least ratio by peer, where one is asked for. */
  readonly targets: Readonly<Record<string, number>>
}

export interface Run {
  /** From 1. */
  readonly round: number
  readonly broker: string
  readonly metrics: Metrics
  /** Latency in ms by percentile, for charts. */
  readonly latency?: readonly (readonly [percentile: number, ms: number])[]
  /** By seconds since the start, for charts. */
  readonly timeline?: readonly TimelinePoint[]
}

export interface TimelinePoint {
  readonly seconds: number
  readonly rss: number
  readonly p99: number
  readonly deliveriesPerSecond: number
}

/** A metric's figures of one broker in a row, run by run; NaN where one has none. */
export function figuresOf(row: Row, broker: string, metric: MetricName): number[] {
  return row.runs.filter((run) => run.broker === broker).map((run) => run.metrics[metric] ?? NaN)
}

/** Undefined where no run has the metric. */
export function spreadIn(row: Row, broker: string, metric: MetricName): Spread | undefined {
  const figures = figuresOf(row, broker, metric).filter((figure) => !Number.isNaN(figure))
  return figures.length === 0 ? undefined : spreadOf(figures)
}

/** The first broker's figures divided by those of a peer, round by round; none of a metric that has no ratio. */
export function ratiosIn(row: Row, peer: string, metric: MetricName): number[] {
  const [first] = row.brokers
  return first === undefined || metricInfo(metric).better === 'none'
    ? []
    : ratiosOf(figuresOf(row, first, metric), figuresOf(row, peer, metric))
}

export function ratioSpreadIn(row: Row, peer: string, metric: MetricName): Spread | undefined {
  const ratios = ratiosIn(row, peer, metric)
  return ratios.length === 0 ? undefined : spreadOf(ratios)
}

/** The metrics that any run of the row has, in the order of their table. */
export function metricsIn(row: Row): MetricName[] {
  return metricNames.filter((name) => row.runs.some((run) => run.metrics[name] !== undefined))
}

/** What a report adds to the bare runs for a program that reads it. */
export function withSummaries(report: LoadReport): object {
  return {
    ...report,
    rows: report.rows.map((row) => ({
      ...row,
      summary: Object.fromEntries(
        row.brokers.map((broker) => [
          broker,
          Object.fromEntries(metricsIn(row).map((metric) => [metric, spreadIn(row, broker, metric)])),
        ]),
      ),
      ratios: Object.fromEntries(
        row.brokers
          .slice(1)
          .map((peer) => [
            peer,
            Object.fromEntries(metricsIn(row).map((metric) => [metric, ratioSpreadIn(row, peer, metric)])),
          ]),
      ),
    })),
  }
}
