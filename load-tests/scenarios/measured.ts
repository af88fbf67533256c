import { Histogram, type HistogramCounts } from '../measure/histogram.js'
import { usageOf, type ProcessUsage } from '../measure/process-usage.js'
import type { Metrics } from '../report/metrics.js'
import type { Run } from '../report/report.js'
import type { TrafficOutcome, TrafficWindow } from '../traffic/traffic.js'
import type { RunContext } from './scenario.js'

const MEGABYTE = 1_000_000

/** Percentiles of a latency curve: more of them where it bends. */
const CURVE = [0, 25, 50, 75, 90, 95, 98, 99, 99.5, 99.9, 99.95, 99.99, 100]

/** One window of all workers, as figures. */
export function windowMetrics(windows: readonly TrafficWindow[]): Metrics {
  const sum = (pick: (window: TrafficWindow) => number) =>
    windows.reduce((total, window) => total + pick(window), 0)
  const seconds = Math.max(...windows.map((window) => window.seconds))
  const deliveries = sum((window) => window.deliveries)
  const published = sum((window) => window.published)
  const receiverBytes = sum((window) => window.receiverBytesIn)
  const lateness = Histogram.from(windows.map((window) => window.lateness))
  const broker = windows[0]?.broker
  const redisCpuSeconds = windows[0]?.redisCpuSeconds
  return {
    ...(broker !== undefined &&
      broker.cpuSeconds > 0 && {
        deliveriesPerCpuSecond: deliveries / broker.cpuSeconds,
        brokerCpu: (100 * broker.cpuSeconds) / seconds,
        rss: broker.rssBytes / MEGABYTE,
      }),
    ...(redisCpuSeconds !== undefined && { redisCpu: (100 * redisCpuSeconds) / seconds }),
    deliveriesPerSecond: deliveries / seconds,
    publishesPerSecond: published / seconds,
    clientCpu: (100 * sum((window) => window.clientCpuSeconds)) / seconds,
    ...latencyMetrics(windows.map((window) => window.latency)),
    ...(lateness.count > 0 && { lateness99: lateness.quantile(0.99) / 1_000 }),
    ...(receiverBytes > 0 && deliveries > 0 && { bytesPerDelivery: receiverBytes / deliveries }),
    ...(published > 0 && { bytesPerPublish: sum((window) => window.publisherBytesOut) / published }),
  }
}

/** Windows that followed each other, as one; each sample holds the windows of all workers. */
export function joined(samples: readonly (readonly TrafficWindow[])[]): TrafficWindow[] {
  return (samples[0] ?? []).map((_, worker) => {
    const parts = samples.flatMap((sample) => sample[worker] ?? [])
    const sum = (pick: (window: TrafficWindow) => number) =>
      parts.reduce((total, window) => total + pick(window), 0)
    const last = parts.at(-1)?.broker
    return {
      seconds: sum((window) => window.seconds),
      published: sum((window) => window.published),
      deliveries: sum((window) => window.deliveries),
      receiverBytesIn: sum((window) => window.receiverBytesIn),
      publisherBytesOut: sum((window) => window.publisherBytesOut),
      broker: last && {
        cpuSeconds: sum(({ broker }) => broker?.cpuSeconds ?? 0),
        rssBytes: last.rssBytes,
      },
      redisCpuSeconds: parts.some((window) => window.redisCpuSeconds === undefined)
        ? undefined
        : sum(({ redisCpuSeconds }) => redisCpuSeconds ?? 0),
      clientCpuSeconds: sum((window) => window.clientCpuSeconds),
      latency: Histogram.from(parts.map((window) => window.latency)).state(),
      lateness: Histogram.from(parts.map((window) => window.lateness)).state(),
    }
  })
}

export function outcomeMetrics(outcomes: readonly TrafficOutcome[]): Metrics {
  const sum = (pick: (outcome: TrafficOutcome) => number) =>
    outcomes.reduce((total, outcome) => total + pick(outcome), 0)
  return {
    lost: sum((outcome) => outcome.lost),
    duplicates: sum((outcome) => outcome.duplicates),
    reordered: sum((outcome) => outcome.reordered),
    refused: sum((outcome) => outcome.refused),
    stalls: sum((outcome) => outcome.stalls),
    connectionsLost: sum((outcome) => outcome.connectionsLost),
  }
}

/** In milliseconds; nothing when nothing was recorded. */
export function latencyMetrics(parts: readonly HistogramCounts[]): Metrics {
  const histogram = Histogram.from(parts)
  if (histogram.count === 0) return {}
  const ms = (share: number) => histogram.quantile(share) / 1_000
  return { p50: ms(0.5), p90: ms(0.9), p99: ms(0.99), p999: ms(0.999), max: histogram.max / 1_000 }
}

export function latencyCurve(parts: readonly HistogramCounts[]): NonNullable<Run['latency']> {
  const histogram = Histogram.from(parts)
  if (histogram.count === 0) return []
  return CURVE.map((percentile) => [percentile, histogram.quantile(percentile / 100) / 1_000] as const)
}

/** CPU time and memory of a run's broker now; undefined where its processes are not known. */
export function brokerUsage({ broker }: RunContext): ProcessUsage | undefined {
  return usageOf(broker.pids())
}

/** `amount` for each CPU-second between two looks; undefined where that cannot be said. */
export function perCpuSecond(
  amount: number,
  before: ProcessUsage | undefined,
  after: ProcessUsage | undefined,
): number | undefined {
  if (before === undefined || after === undefined) return undefined
  const seconds = after.cpuSeconds - before.cpuSeconds
  return seconds > 0 ? amount / seconds : undefined
}

/** Leaves out what could not be measured. */
export function known(metrics: { readonly [Name in keyof Metrics]: number | undefined }): Metrics {
  return Object.fromEntries(Object.entries(metrics).filter(([, value]) => value !== undefined))
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
