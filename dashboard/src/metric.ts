export interface MetricLook {
  readonly label: string
  readonly unit: string
  /** Name of the CSS variable with the colour. */
  readonly color: string
}

const KNOWN: Readonly<Record<string, MetricLook>> = {
  temperature: { label: 'Temperature', unit: '°C', color: '--series-1' },
  humidity: { label: 'Humidity', unit: '%', color: '--series-2' },
  power: { label: 'Power', unit: 'W', color: '--series-3' },
}

const OTHER_COLORS = ['--series-4', '--series-5', '--series-6']

/** How a metric is shown. Unknown ones keep their name, without a unit, and always get the same colour. */
export function lookOf(metric: string): MetricLook {
  if (Object.hasOwn(KNOWN, metric)) return KNOWN[metric] as MetricLook
  let hash = 0
  for (const character of metric) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) >>> 0
  const label = metric.charAt(0).toUpperCase() + metric.slice(1).replaceAll(/[-_]/g, ' ')
  return { label, unit: '', color: OTHER_COLORS[hash % OTHER_COLORS.length] as string }
}

/** Decimals that tell the values of a range apart, no more than the eye can use. */
export function digitsFor(low: number, high: number): number {
  const size = Math.max(Math.abs(low), Math.abs(high))
  return size >= 100 ? 0 : size >= 10 ? 1 : 2
}

export function formatValue(value: number, digits: number): string {
  const text = value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
  // What rounds to nothing has no sign.
  return /^-0(?:\.0*)?$/.test(text) ? text.slice(1) : text
}
