import { spreadOf, type Spread } from '../../measure/statistics.js'
import { amount } from '../amount.js'
import { metricInfo } from '../metrics.js'
import {
  figuresOf,
  metricsIn,
  ratioSpreadIn,
  ratiosIn,
  spreadIn,
  type Row,
  type TimelinePoint,
} from '../report.js'
import { percentilesChart, ratiosChart, runsChart, timeChart, type LineSeries } from './charts.js'
import { markup, type Markup } from './markup.js'

/** Colours of the page; further brokers begin again. */
const COLORS = 4

/** One row of the report: charts, and all its figures. */
export function rowSection(row: Row): Markup {
  return markup`<section><h2>${row.title}</h2>
<p class="soft">${Object.entries(row.settings)
    .map(([name, value]) => `${name} ${value}`)
    .join(' · ')}</p>
<div class="charts">${[...figureCharts(row), ...latencyCharts(row), ...timeCharts(row)]}</div>
<details><summary>All figures, median and quartiles of ${roundsOf(row)} ${roundsOf(row) === 1 ? 'run' : 'runs'}</summary>
<div class="scroll">${figuresTable(row)}</div></details>
</section>`
}

function figureCharts(row: Row): Markup[] {
  const { label, unit } = metricInfo(row.figure)
  const runs = row.brokers.flatMap((name, index) => {
    const spread = spreadIn(row, name, row.figure)
    const values = figuresOf(row, name, row.figure).filter((value) => !Number.isNaN(value))
    return spread === undefined ? [] : [{ name, color: index % COLORS, values, spread }]
  })
  const ratios = row.brokers.slice(1).flatMap((peer, index) => {
    const values = ratiosIn(row, peer, row.figure)
    const spread = ratioSpreadIn(row, peer, row.figure)
    const common = { name: `to ${peer}`, color: (index + 1) % COLORS, target: row.targets[peer] }
    return spread === undefined ? [] : [{ ...common, values, spread }]
  })
  return [
    ...(runs.length > 0 ? [runsChart(capital(label), runs, unit)] : []),
    ...(ratios.length > 0 ? [ratiosChart(`Ratio of ${row.brokers[0] ?? ''}, round by round`, ratios)] : []),
  ]
}

/** The median of all runs at each percentile. */
function latencyCharts(row: Row): Markup[] {
  const series = row.brokers.flatMap((name, index): LineSeries[] => {
    const curves = row.runs.flatMap((run) => (run.broker === name && run.latency ? [run.latency] : []))
    const [first] = curves
    if (first === undefined || first.length === 0) return []
    const points = first.map(([percentile], place) => {
      const values = curves.flatMap((curve) => curve[place]?.[1] ?? [])
      return [percentile, spreadOf(values).median] as const
    })
    return [{ name, color: index % COLORS, points }]
  })
  return series.length > 0 ? [percentilesChart('Latency by percentile', series)] : []
}

function timeCharts(row: Row): Markup[] {
  const chart = (title: string, unit: string, pick: (point: TimelinePoint) => number): Markup[] => {
    const series = row.brokers.flatMap((name, index): LineSeries[] => {
      const timeline = row.runs.find((run) => run.broker === name && run.timeline !== undefined)?.timeline
      if (timeline === undefined || timeline.length === 0) return []
      return [
        {
          name,
          color: index % COLORS,
          points: timeline.map((point) => [point.seconds, pick(point)] as const),
        },
      ]
    })
    return series.length > 0 ? [timeChart(title, series, unit)] : []
  }
  return [
    ...chart('Broker memory (RSS)', 'MB', ({ rss }) => rss),
    ...chart('Latency, 99 %', 'ms', ({ p99 }) => p99),
    ...chart('Deliveries per second', '/s', ({ deliveriesPerSecond }) => deliveriesPerSecond),
  ]
}

function figuresTable(row: Row): Markup {
  const peers = row.brokers.slice(1)
  const metrics = [row.figure, ...metricsIn(row).filter((metric) => metric !== row.figure)]
  return markup`<table>
<tr><th></th>${row.brokers.map((broker) => markup`<th>${broker}</th>`)}${peers.map((peer) => markup`<th>ratio to ${peer}</th>`)}</tr>
${metrics.map((metric) => {
  const { label, unit } = metricInfo(metric)
  return markup`<tr><td>${capital(label)} <small>${unit}</small></td>
${row.brokers.map((broker) => markup`<td>${spreadCell(spreadIn(row, broker, metric), amount)}</td>`)}
${peers.map((peer) => markup`<td>${spreadCell(ratioSpreadIn(row, peer, metric), (value) => value.toFixed(2))}</td>`)}</tr>`
})}
</table>`
}

function spreadCell(spread: Spread | undefined, show: (value: number) => string): Markup | string {
  if (spread === undefined) return '–'
  const { median, q1, q3 } = spread
  return q1 === q3 ? show(median) : markup`${show(median)} <small>${show(q1)} to ${show(q3)}</small>`
}

function roundsOf(row: Row): number {
  return Math.max(0, ...row.runs.map(({ round }) => round))
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}
