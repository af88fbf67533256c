import type { Spread } from '../../measure/statistics.js'
import { amount } from '../amount.js'
import { markup, type Markup } from './markup.js'
import { linearScale, logScale, type Scale } from './scale.js'

export interface Series {
  readonly name: string
  /** Of the palette of the page, from 0. */
  readonly color: number
}

export interface RunSeries extends Series {
  readonly values: readonly number[]
  readonly spread: Spread
}

export interface LineSeries extends Series {
  readonly points: readonly (readonly [x: number, y: number])[]
}

const WIDTH = 560
const LABELS = 110
/** Right of it: the medians. */
const LANES_END = WIDTH - 70
const LANE = 44

/** A lane a series: a dot for each run, a band from quartile to quartile, a line at the median. */
export function runsChart(title: string, series: readonly RunSeries[], unit: string): Markup {
  const scale = linearScale(Math.max(...series.flatMap(({ values }) => values)), LABELS, LANES_END)
  const content = series.map((each, index) => lane(each, index, scale, amount, unit))
  return lanesChart(title, series.length, scale, amount, markup`${content}`)
}

/** The same for ratios, with a line where both are equal and a mark at the target. */
export function ratiosChart(
  title: string,
  series: readonly (RunSeries & { readonly target: number | undefined })[],
): Markup {
  const values = series.flatMap((each) => [
    ...each.values,
    ...(each.target === undefined ? [] : [each.target]),
  ])
  const scale = logScale([...values, 1], LABELS, LANES_END)
  const times = (value: number) => `${value.toFixed(2)}×`
  const one = px(scale.at(1))
  const content = markup`<line class="one" x1="${one}" x2="${one}" y1="0" y2="${series.length * LANE + 10}"/>
    ${series.map(
      (each, index) => markup`${lane(each, index, scale, times, '')}
      ${each.target === undefined ? '' : targetMark(scale.at(each.target), index * LANE + LANE / 2, each.target)}`,
    )}`
  return lanesChart(title, series.length, scale, (mark) => `${amount(mark)}×`, content)
}

function lanesChart(
  title: string,
  lanes: number,
  scale: Scale,
  show: (value: number) => string,
  content: Markup,
): Markup {
  const bottom = lanes * LANE + 10
  const marks = scale.marks.map((mark) => verticalMark(scale.at(mark), bottom, show(mark)))
  return figure(title, bottom + 24, markup`${marks}${content}`)
}

function lane(
  { name, color, values, spread: { q1, q3, median } }: RunSeries,
  index: number,
  scale: Scale,
  show: (value: number) => string,
  unit: string,
): Markup {
  const y = index * LANE + LANE / 2
  const [from, to, middle] = [scale.at(q1), scale.at(q3), px(scale.at(median))]
  return markup`<g class="s${color}">
    <text class="name" x="${LABELS - 12}" y="${y + 4}">${name}</text>
    <rect class="band" x="${px(from)}" y="${y - 11}" width="${px(Math.max(2, to - from))}" height="22" rx="4"/>
    ${values.map((value) => markup`<circle cx="${px(scale.at(value))}" cy="${y}" r="3.5"><title>${show(value)} ${unit}</title></circle>`)}
    <line class="median" x1="${middle}" x2="${middle}" y1="${y - 14}" y2="${y + 14}"/>
    <text class="value" x="${LANES_END + 12}" y="${y + 4}">${show(median)}</text>
  </g>`
}

function targetMark(x: number, y: number, target: number): Markup {
  return markup`<path class="target" d="M${px(x)} ${y - 13} v26"><title>target ${target}×</title></path>
    <path class="target-tip" d="M${px(x - 4)} ${y - 18} h8 l-4 6 z"/>`
}

/** Latency by percentile; each further nine has as much room as all before it. */
export function percentilesChart(title: string, series: readonly LineSeries[]): Markup {
  const percentiles = [0, 50, 90, 99, 99.9, 99.99]
  const x = (percentile: number) => LABELS - 40 + ((WIDTH - LABELS) * Math.min(nines(percentile), 4.3)) / 4.3
  return linesChart(
    title,
    series,
    percentiles.map((percentile) => [x(percentile), `${percentile} %`] as const),
    x,
    (values, from, to) => logScale(values, from, to),
    'ms',
  )
}

function nines(percentile: number): number {
  return -Math.log10(Math.max(1 - percentile / 100, 5e-5))
}

/** Something over the seconds of a run. */
export function timeChart(title: string, series: readonly LineSeries[], unit: string): Markup {
  const last = Math.max(...series.flatMap(({ points }) => points.map(([seconds]) => seconds)))
  const scale = linearScale(last, LABELS - 40, WIDTH - 40)
  return linesChart(
    title,
    series,
    scale.marks.map((mark) => [scale.at(mark), `${amount(mark)} s`] as const),
    (seconds) => scale.at(seconds),
    (values, from, to) => linearScale(Math.max(...values), from, to),
    unit,
  )
}

function linesChart(
  title: string,
  series: readonly LineSeries[],
  xMarks: readonly (readonly [x: number, label: string])[],
  x: (value: number) => number,
  scaleOf: (values: readonly number[], from: number, to: number) => Scale,
  unit: string,
): Markup {
  const height = 240
  const bottom = height - 30
  const scale = scaleOf(
    series.flatMap(({ points }) => points.map(([, y]) => y)),
    bottom,
    14,
  )
  return figure(
    title,
    height,
    markup`${scale.marks.map(
      (
        mark,
      ) => markup`<line class="grid" x1="${LABELS - 40}" x2="${WIDTH - 40}" y1="${px(scale.at(mark))}" y2="${px(scale.at(mark))}"/>
      <text class="name" x="${LABELS - 48}" y="${px(scale.at(mark) + 4)}">${amount(mark)} ${unit}</text>`,
    )}
    ${xMarks.map(([at, label]) => verticalMark(at, bottom, label))}
    ${series.map(
      ({ name, color, points }) => markup`<g class="s${color}">
        <polyline points="${points.map(([px1, py]) => `${px(x(px1))},${px(scale.at(py))}`).join(' ')}"><title>${name}</title></polyline>
        ${points.map(([px1, py]) => markup`<circle cx="${px(x(px1))}" cy="${px(scale.at(py))}" r="2.5"><title>${name}: ${amount(py)} ${unit}</title></circle>`)}
      </g>`,
    )}`,
    series,
  )
}

function verticalMark(x: number, bottom: number, label: string): Markup {
  return markup`<line class="grid" x1="${px(x)}" x2="${px(x)}" y1="0" y2="${bottom}"/>
    <text class="mark" x="${px(x)}" y="${bottom + 18}">${label}</text>`
}

function figure(title: string, height: number, content: Markup, legend: readonly Series[] = []): Markup {
  return markup`<figure>
  <figcaption>${title}${legend.map(({ name, color }) => markup`<span class="key s${color}">${name}</span>`)}</figcaption>
  <svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${title}">${content}</svg>
</figure>`
}

/** Half a pixel is as exact as a screen shows. */
function px(value: number): string {
  return value.toFixed(1)
}
