import { metricInfo, type MetricName } from './metrics.js'
import { metricsIn, ratioSpreadIn, spreadIn, type LoadReport, type Row } from './report.js'
import type { Spread } from '../measure/statistics.js'
import { amount } from './amount.js'

/** The report as text: a table for each row. */
export function terminalReport(report: LoadReport): string {
  return report.rows.map(rowText).join('\n\n')
}

/** Median and quartiles of a figure, and the ratio to each peer with its quartiles. */
function rowText(row: Row): string {
  const settings = Object.entries(row.settings)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
  const [first = ''] = row.brokers
  const rows: string[][] = [['', ...row.brokers, ...row.brokers.slice(1).map((peer) => `${first} : ${peer}`)]]
  for (const metric of [row.figure, ...metricsIn(row).filter((name) => name !== row.figure)]) {
    rows.push([
      labelOf(metric),
      ...row.brokers.map((broker) => spreadText(spreadIn(row, broker, metric))),
      ...row.brokers.slice(1).map((peer) => ratioText(ratioSpreadIn(row, peer, metric))),
    ])
  }
  return [row.title, settings, '', ...table(rows)].join('\n')
}

function labelOf(metric: MetricName): string {
  const { label, unit } = metricInfo(metric)
  return unit === '' ? label : `${label} (${unit})`
}

function spreadText(spread: Spread | undefined): string {
  if (spread === undefined) return '-'
  const { median, q1, q3 } = spread
  return q1 === q3 ? amount(median) : `${amount(median)} (${amount(q1)} to ${amount(q3)})`
}

function ratioText(ratio: Spread | undefined): string {
  if (ratio === undefined) return '-'
  const [median, q1, q3] = [ratio.median, ratio.q1, ratio.q3].map((value) => value.toFixed(2))
  return q1 === q3 ? (median ?? '') : `${median ?? ''} (${q1 ?? ''} to ${q3 ?? ''})`
}

/** Columns as wide as their widest cell; the first to the left, the others to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  )
}
