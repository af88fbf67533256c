import uPlot from 'uplot'
import { durationOf, type Feed } from './feed-store.js'
import { formatValue, lookOf } from './metric.js'

/** A feed is stale when this many of its windows have passed without a point. */
const STALE_WINDOWS = 4

const CHART_HEIGHT = 150

/** The card of one feed: current value, and a chart of the average inside its band from minimum to maximum. */
export class ChartCard {
  readonly element = document.createElement('article')
  private readonly value = document.createElement('p')
  private readonly range = document.createElement('p')
  private readonly holder = document.createElement('div')
  private plot: uPlot | undefined
  private visible = false
  private drawn = -1

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
    this.value.replaceChildren(formatValue(last.avg), unitOf(unit))
    const low = formatValue(Math.min(...points.map(({ min }) => min)))
    const high = formatValue(Math.max(...points.map(({ max }) => max)))
    this.range.replaceChildren(text(`${low} – ${high} ${unit}`), text(`${last.count} readings a point`))
    this.holder.setAttribute(
      'aria-label',
      `${label}: now ${formatValue(last.avg)} ${unit}, between ${low} and ${high}`,
    )
    const data: uPlot.AlignedData = [
      points.map(({ end }) => end / 1000),
      points.map(({ max }) => max),
      points.map(({ min }) => min),
      points.map(({ avg }) => avg),
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
    const format = (_plot: uPlot, values: number[]) => values.map((value) => value.toLocaleString('en'))
    return new uPlot(
      {
        width: this.holder.clientWidth || 300,
        height: CHART_HEIGHT,
        padding: [10, 6, 0, 0],
        cursor: { drag: { x: false, y: false }, points: { size: 6 } },
        legend: { show: false },
        scales: { y: { range: (_plot, min, max) => paddedRange(min, max) } },
        axes: [
          { ...axis, space: 70, values: (_plot, values) => values.map(clockTime), size: 28 },
          { ...axis, space: 34, size: 44, values: format },
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
    const point = this.feed.points[plot.cursor.idx ?? -1]
    if (point === undefined) {
      this.drawn = -1
      return
    }
    const { unit } = lookOf(this.feed.name.metric)
    this.range.replaceChildren(
      text(
        `${formatValue(point.min)} – ${formatValue(point.max)} ${unit}, average ${formatValue(point.avg)}`,
      ),
      text(new Date(point.end).toLocaleTimeString()),
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

function clockTime(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString([], {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  })
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
