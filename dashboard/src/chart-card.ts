import uPlot from 'uplot'
import { durationOf, type Feed } from './feed-store.js'
import { digitsFor, formatValue, lookOf } from './metric.js'
import { chartRows, type ChartRow } from './chart-rows.js'

/** A feed is stale when this many of its windows have passed without a point. */
const STALE_WINDOWS = 4

const CHART_HEIGHT = 150

/** Width of a character of an axis label, and the room beside it, in pixels. */
const LABEL_CHARACTER = 6.5
const LABEL_GAP = 10

/** The card of one feed: current value, and a chart of the average inside its band from minimum to maximum. */
export class ChartCard {
  readonly element = document.createElement('article')
  private readonly value = document.createElement('p')
  private readonly range = document.createElement('p')
  private readonly holder = document.createElement('div')
  private plot: uPlot | undefined
  private visible = false
  private drawn = -1
  private rows: readonly ChartRow[] = []

  constructor(private readonly feed: Feed) {
    const look = lookOf(feed.name.metric)
    this.element.className = 'card'
    this.element.dataset['feed'] = feed.key
    const title = document.createElement('h3')
    title.textContent = look.label
    this.value.className = 'value'
    const head = document.createElement('header')
    head.append(title, this.value)
    this.holder.className = 'chart'
    this.holder.setAttribute('role', 'img')
    this.range.className = 'range'
    this.element.append(head, this.holder, this.range)
  }

  /** Charts off screen are not drawn. */
  setVisible(visible: boolean): void {
    this.visible = visible
    if (visible) this.update(Date.now())
  }

  /** Draws what is new. Cheap when nothing is. */
  update(now: number): void {
    const { points, name, revision } = this.feed
    const last = points.at(-1)
    if (last === undefined) return
    const stale = now - last.end > durationOf(name.window) * 1000 * STALE_WINDOWS
    this.element.dataset['stale'] = String(stale)
    if (!this.visible || this.drawn === revision) return
    this.drawn = revision
    const { unit, label } = lookOf(name.metric)
    const lowest = Math.min(...points.map(({ min }) => min))
    const highest = Math.max(...points.map(({ max }) => max))
    const digits = digitsFor(lowest, highest)
    const [current, low, high] = [last.avg, lowest, highest].map((value) => formatValue(value, digits))
    this.value.replaceChildren(current ?? '', unitOf(unit))
    this.range.replaceChildren(text(`${low} – ${high} ${unit}`), text(readings(last.count, name.window)))
    this.holder.setAttribute('aria-label', `${label}: now ${current} ${unit}, between ${low} and ${high}`)
    this.rows = chartRows(points, durationOf(name.window) * 1000)
    const data: uPlot.AlignedData = [
      this.rows.map(({ time }) => time / 1000),
      this.rows.map(({ point }) => point?.max),
      this.rows.map(({ point }) => point?.min),
      this.rows.map(({ point }) => point?.avg),
    ]
    if (this.plot === undefined) this.plot = this.draw(data)
    else this.plot.setData(data)
  }

  resize(): void {
    const width = this.holder.clientWidth
    if (this.plot !== undefined && width > 0) this.plot.setSize({ width, height: CHART_HEIGHT })
  }

  /** Colours have changed: the canvas has to be drawn anew. */
  restyle(): void {
    this.plot?.destroy()
    this.plot = undefined
    this.drawn = -1
    this.update(Date.now())
  }

  destroy(): void {
    this.plot?.destroy()
    this.element.remove()
  }

  private draw(data: uPlot.AlignedData): uPlot {
    const look = lookOf(this.feed.name.metric)
    const color = cssColor(look.color)
    const axis: uPlot.Axis = {
      stroke: cssColor('--quiet'),
      grid: { stroke: cssColor('--grid'), width: 1 },
      ticks: { show: false },
      font: '11px system-ui, sans-serif',
    }
    return new uPlot(
      {
        width: this.holder.clientWidth || 300,
        height: CHART_HEIGHT,
        padding: [10, 12, 0, 0],
        cursor: { drag: { x: false, y: false }, points: { size: 6 } },
        legend: { show: false },
        scales: { y: { range: (_plot, min, max) => paddedRange(min, max) } },
        axes: [
          {
            ...axis,
            space: 76,
            size: 22,
            gap: 6,
            values: (plot, values) => whole(plot, values, clockTimes(values)),
          },
          {
            ...axis,
            space: 34,
            gap: 6,
            size: (_plot, values) => labelWidth(values),
            values: (_plot, values) => evenly(values),
          },
        ],
        bands: [{ series: [1, 2], fill: `color-mix(in srgb, ${color} 18%, transparent)` }],
        series: [
          {},
          { stroke: 'transparent', points: { show: false } },
          { stroke: 'transparent', points: { show: false } },
          { stroke: color, width: 2, points: { show: data[0].length < 3, size: 5 } },
        ],
        hooks: { setCursor: [(plot) => this.showCursor(plot)] },
      },
      data,
      this.holder,
    )
  }

  private showCursor(plot: uPlot): void {
    const point = this.rows[plot.cursor.idx ?? -1]?.point
    if (point === undefined) {
      this.drawn = -1
      return
    }
    const { unit } = lookOf(this.feed.name.metric)
    const digits = digitsFor(point.min, point.max)
    const [average, low, high] = [point.avg, point.min, point.max].map((value) => formatValue(value, digits))
    this.range.replaceChildren(
      text(`${average} ${unit} (${low} – ${high})`),
      text(clockTimes([point.end / 1000], true).join('')),
    )
  }
}

/** Never flatter than a hundredth of the value: noise must not look like a storm. */
function paddedRange(min: number | null, max: number | null): [number, number] {
  const low = min ?? 0
  const high = max ?? 1
  const span = Math.max(high - low, Math.abs(high) * 0.01, 0.01)
  const middle = (low + high) / 2
  return [middle - span * 0.6, middle + span * 0.6]
}

/** 24 hours everywhere: short, and in order at a glance. Seconds only where ticks are closer than a minute. */
function clockTimes(seconds: readonly number[], exact = seconds.some((value) => value % 60 !== 0)): string[] {
  const format = new Intl.DateTimeFormat('en', {
    hour: '2-digit',
    minute: '2-digit',
    ...(exact && { second: '2-digit' }),
    hourCycle: 'h23',
  })
  return seconds.map((value) => format.format(value * 1000))
}

/** Labels of the time axis, without those that the edge of the canvas would cut. */
function whole(plot: uPlot, seconds: readonly number[], labels: readonly string[]): (string | null)[] {
  const left = plot.bbox.left / devicePixelRatio
  return labels.map((label, index) => {
    const middle = left + plot.valToPos(seconds[index] ?? 0, 'x')
    const half = (label.length * LABEL_CHARACTER) / 2
    return middle - half >= 0 && middle + half <= plot.width ? label : null
  })
}

/** All labels of an axis with as many decimals as the one that needs most. */
function evenly(values: readonly number[]): string[] {
  const digits = Math.max(0, ...values.map((value) => String(value).split('.')[1]?.length ?? 0))
  return values.map((value) => formatValue(value, Math.min(digits, 4)))
}

function labelWidth(labels: readonly string[] | null): number {
  return Math.ceil(Math.max(2, ...(labels ?? []).map((label) => label.length)) * LABEL_CHARACTER) + LABEL_GAP
}

function readings(count: number, window: string): string {
  return `${count.toLocaleString('en')} ${count === 1 ? 'reading' : 'readings'} in ${window}`
}

function cssColor(variable: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(variable).trim()
}

function text(content: string): HTMLSpanElement {
  const span = document.createElement('span')
  span.textContent = content
  return span
}

function unitOf(unit: string): HTMLElement {
  const small = document.createElement('small')
  small.textContent = unit
  return small
}
