import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks'
import { Gauge, type Registry } from 'prom-client'
import { PREFIX } from './cells.js'

/**
 * How long a callback waits for the event loop, which every connection shares. Measured by a timer of the runtime that
 * should fire every 10 ms, so these 10 ms are taken off. Each scrape begins anew.
 */
export class EventLoopDelay {
  private readonly histogram: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })

  constructor(registry: Registry) {
    const { histogram } = this
    new Gauge({
      name: `${PREFIX}event_loop_delay_seconds`,
      help: 'Delay of the event loop since the last scrape: quantiles, 1 is the longest.',
      labelNames: ['quantile'],
      registers: [registry],
      collect() {
        for (const quantile of QUANTILES) {
          const nanoseconds = quantile === 1 ? histogram.max : histogram.percentile(quantile * 100)
          const measured = histogram.count === 0 ? 0 : nanoseconds / 1e9 - RESOLUTION_MS / 1e3
          this.set({ quantile: String(quantile) }, Math.max(0, measured))
        }
        histogram.reset()
      },
    })
  }

  start(): void {
    this.histogram.enable()
  }

  stop(): void {
    this.histogram.disable()
  }
}

const RESOLUTION_MS = 10
const QUANTILES = [0.5, 0.9, 0.99, 1]
