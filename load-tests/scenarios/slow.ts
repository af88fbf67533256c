import { Histogram } from '../measure/histogram.js'
import type { TrafficWindow } from '../traffic/traffic.js'
import { brokerUsage, known, latencyCurve, outcomeMetrics, pause, windowMetrics } from './measured.js'
import type { Scenario } from './scenario.js'
import { withTraffic } from './traffic.js'

/**
 * For the socket buffers of a receiver that has stopped to fill: at the 2 MB/s of the defaults they take a second or
 * two, and from then on the broker has to keep, drop or disconnect.
 */
const FILLING_MS = 3_000

/** Some receivers stop reading: what that does to the others, and to the memory of the broker. */
export const slow: Scenario = {
  summary: 'some receivers stop reading; latency of the others before and after',
  figure: 'p99During',
  defaults: {
    publishers: 1,
    receivers: 20,
    readers: 5,
    payloadBytes: 4_096,
    pace: { kind: 'rate', messagesPerSecond: 500 },
  },
  concerns: [
    ...(['transport', 'version', 'qos', 'payloadBytes', 'publishers', 'receivers'] as const),
    ...(['pace', 'readers', 'warmupMs', 'durationMs'] as const),
  ],
  freshBroker: false,
  run: (context) =>
    withTraffic(context, 'fanout', async (traffic) => {
      const { warmupMs, durationMs, readers } = context.settings
      await pause(warmupMs)
      const before = await traffic.window(durationMs)
      const usageBefore = brokerUsage(context)
      await traffic.stopReading(readers)
      await pause(Math.min(FILLING_MS, durationMs))
      const during = await traffic.window(durationMs)
      const usageAfter = brokerUsage(context)
      const outcomes = await traffic.end()
      const [p99Before, p99During] = [p99Of(before), p99Of(during)]
      const grown = usageBefore && usageAfter && (usageAfter.rssBytes - usageBefore.rssBytes) / 1_000_000
      return {
        metrics: known({
          ...windowMetrics(during),
          ...outcomeMetrics(outcomes),
          p99Before,
          p99During,
          slowdown: p99Before > 0 ? p99During / p99Before : undefined,
          rssGrowth: grown,
        }),
        latency: latencyCurve(during.map((window) => window.latency)),
      }
    }),
}

function p99Of(windows: readonly TrafficWindow[]): number {
  return Histogram.from(windows.map((window) => window.latency)).quantile(0.99) / 1_000
}
