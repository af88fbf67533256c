import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { expect, it } from 'vitest'
import { mergedScrape } from './merged-metrics.js'

async function samples(count: number) {
  const registry = new Registry()
  const registers = [registry]
  new Counter({ name: 'messages_total', help: 'h', labelNames: ['qos'], registers }).inc({ qos: 1 }, count)
  new Gauge({ name: 'delay_seconds', help: 'h', registers }).set(count)
  new Histogram({ name: 'duration_seconds', help: 'h', buckets: [1, 10], registers }).observe(count)
  return registry.getMetricsAsJSON()
}

it('keeps the series of each process apart', async () => {
  const { text, contentType } = await mergedScrape(
    new Map([
      ['1', await samples(3)],
      ['2', await samples(5)],
    ]),
  )
  expect(contentType).toContain('text/plain')
  expect(text.split('\n').filter((line) => line !== '' && !line.startsWith('# HELP'))).toEqual([
    '# TYPE messages_total counter',
    'messages_total{qos="1",worker="1"} 3',
    'messages_total{qos="1",worker="2"} 5',
    '# TYPE delay_seconds gauge',
    'delay_seconds{worker="1"} 3',
    'delay_seconds{worker="2"} 5',
    '# TYPE duration_seconds histogram',
    'duration_seconds_bucket{le="1",worker="1"} 0',
    'duration_seconds_bucket{le="10",worker="1"} 1',
    'duration_seconds_bucket{le="+Inf",worker="1"} 1',
    'duration_seconds_sum{worker="1"} 3',
    'duration_seconds_count{worker="1"} 1',
    'duration_seconds_bucket{le="1",worker="2"} 0',
    'duration_seconds_bucket{le="10",worker="2"} 1',
    'duration_seconds_bucket{le="+Inf",worker="2"} 1',
    'duration_seconds_sum{worker="2"} 5',
    'duration_seconds_count{worker="2"} 1',
  ])
})
