import { AggregatorRegistry, type Registry } from 'prom-client'

/** A metric and its samples, as plain data that may cross to another process. */
export type MetricSamples = Awaited<ReturnType<Registry['getMetricsAsJSON']>>[number]

/**
 * One scrape of several processes. Each sample keeps its own series under a label `worker`, instead of one sum for
 * all: a worker that is stuck, or leaks, must not hide behind the others; delays, versions and start times have no
 * sum; and a counter of a worker that was started again begins at 0 alone, which is what `rate()` expects of a series.
 */
export async function mergedScrape(
  processes: ReadonlyMap<string, readonly MetricSamples[]>,
): Promise<{ readonly contentType: string; readonly text: string }> {
  const labelled = [...processes].map(([worker, metrics]) =>
    metrics.map((metric) => ({
      ...metric,
      values: metric.values.map((value) => ({ ...value, labels: { ...value.labels, worker } })),
    })),
  )
  const registry = AggregatorRegistry.aggregate(labelled)
  return { contentType: registry.contentType, text: await registry.metrics() }
}
