import { slopeOf } from '../measure/statistics.js'
import type { TimelinePoint } from '../report/report.js'
import type { TrafficWindow } from '../traffic/traffic.js'
import { joined, latencyCurve, outcomeMetrics, pause, windowMetrics } from './measured.js'
import type { Scenario } from './scenario.js'
import { withTraffic } from './traffic.js'

const SECONDS_PER_HOUR = 3_600

/** A steady load for long: memory that grows, latency that creeps, a message that is lost once an hour. */
export const soak: Scenario = {
  summary: 'a steady rate for long, with memory and latency over time',
  figure: 'p99',
  defaults: {
    publishers: 200,
    receivers: 200,
    qos: 1,
    sessions: 'persistent',
    pace: { kind: 'rate', messagesPerSecond: 2_000 },
    warmupMs: 30_000,
    durationMs: 600_000,
    sampleMs: 10_000,
  },
  concerns: [
    ...(['transport', 'version', 'qos', 'payloadBytes', 'publishers', 'receivers'] as const),
    ...(['pace', 'sessions', 'warmupMs', 'durationMs', 'sampleMs'] as const),
  ],
  freshBroker: true,
  run: (context) =>
    withTraffic(context, 'pairs', async (traffic) => {
      const { warmupMs, durationMs, sampleMs } = context.settings
      await pause(warmupMs)
      const timeline: TimelinePoint[] = []
      const samples: TrafficWindow[][] = []
      const windows = Math.max(1, Math.round(durationMs / sampleMs))
      for (let index = 1; index <= windows; index++) {
        const sample = await traffic.window(sampleMs)
        const metrics = windowMetrics(sample)
        const seconds = (index * sampleMs) / 1_000
        const { rss = 0, p99 = 0, deliveriesPerSecond = 0 } = metrics
        timeline.push({ seconds, rss, p99, deliveriesPerSecond })
        samples.push(sample)
        context.progress(`${seconds} s: ${rss.toFixed(0)} MB, p99 ${p99.toFixed(2)} ms`)
      }
      const outcomes = await traffic.end()
      const whole = joined(samples)
      return {
        metrics: {
          ...windowMetrics(whole),
          rssSlope: slopeOf(timeline.map(({ seconds, rss }) => [seconds / SECONDS_PER_HOUR, rss] as const)),
          ...outcomeMetrics(outcomes),
        },
        latency: latencyCurve(whole.map((window) => window.latency)),
        timeline,
      }
    }),
}
