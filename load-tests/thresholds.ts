import { metricInfo, isMetricName, type MetricName } from './report/metrics.js'
import { ratioSpreadIn, spreadIn, type LoadReport, type Row } from './report/report.js'

/** A bound for a median: of the first broker's figures, or of their ratios to each peer. */
export interface Threshold {
  readonly of: 'figure' | 'ratio'
  /** Undefined: the figure that the row is about. */
  readonly metric: MetricName | undefined
  readonly value: number
  readonly text: string
}

/** `ratio=8`, `ratio.p99=1.2`, `p99=5`; undefined when it is none. */
export function parseThreshold(text: string): Threshold | undefined {
  const match = /^(ratio|ratio\.(\w+)|(\w+))=(\d+(?:\.\d+)?)$/.exec(text)
  const name = match?.[2] ?? match?.[3]
  if (match === null || (name !== undefined && !isMetricName(name))) return undefined
  const of = match[1]?.startsWith('ratio') === true ? 'ratio' : 'figure'
  return { of, metric: name, value: Number(match[4]), text }
}

/** A sentence for each bound that a row breaks, and for each that cannot be checked: a check that is not made fails. */
export function brokenThresholds(
  report: LoadReport,
  below: readonly Threshold[],
  above: readonly Threshold[],
): string[] {
  return report.rows.flatMap((row) => [
    ...below.flatMap((threshold) => breaches(row, threshold, (median) => median < threshold.value, 'below')),
    ...above.flatMap((threshold) => breaches(row, threshold, (median) => median > threshold.value, 'above')),
    ...targetBreaches(row),
  ])
}

/** Rows with a target of their own (`openclaw load targets`). For a metric where less is better it is a ceiling. */
function targetBreaches(row: Row): string[] {
  return Object.entries(row.targets).flatMap(([peer, target]) => {
    const median = ratioSpreadIn(row, peer, row.figure)?.median
    if (median === undefined) return []
    const lower = metricInfo(row.figure).better === 'lower'
    if (lower ? median <= target : median >= target) return []
    return [
      `${row.title}: ${median.toFixed(2)} times ${peer}; the target is ${lower ? '<=' : '>='} ${target}`,
    ]
  })
}

function breaches(
  row: Row,
  { of, metric = row.figure, text }: Threshold,
  breaks: (median: number) => boolean,
  word: string,
): string[] {
  const [first = ''] = row.brokers
  const medians =
    of === 'figure'
      ? [[first, spreadIn(row, first, metric)?.median] as const]
      : row.brokers.slice(1).map((peer) => [peer, ratioSpreadIn(row, peer, metric)?.median] as const)
  if (medians.length === 0) return [`${row.title}: ${text} cannot be checked without a peer`]
  return medians.flatMap(([name, median]) => {
    if (median === undefined) return [`${row.title}: ${text} cannot be checked, ${metric} was not measured`]
    const against = of === 'ratio' ? ` times ${name}` : ''
    return breaks(median) ? [`${row.title}: ${metric} is ${round(median)}${against}, ${word} ${text}`] : []
  })
}

function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3)
}
