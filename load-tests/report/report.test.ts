import { describe, expect, it } from 'vitest'
import { brokenThresholds, parseThreshold, type Threshold } from '../thresholds.js'
import { amount } from './amount.js'
import { htmlReport } from './html/page.js'
import { selfTimes } from './profile.js'
import { ratioSpreadIn, ratiosIn, spreadIn, withSummaries, type LoadReport, type Row } from './report.js'
import { terminalReport } from './terminal.js'

/** Two rounds of two brokers; the gateway does 4 and 3 times as much, with half the latency. */
const row: Row = {
  title: 'pairs <b>',
  scenario: 'pairs',
  settings: { qos: 1, payload: '64 B' },
  figure: 'deliveriesPerCpuSecond',
  brokers: ['gateway', 'mosquitto'],
  runs: [
    {
      round: 1,
      broker: 'gateway',
      metrics: { deliveriesPerCpuSecond: 400, p99: 1, lost: 0 },
      latency: [
        [50, 0.5],
        [99, 1],
      ],
    },
    {
      round: 1,
      broker: 'mosquitto',
      metrics: { deliveriesPerCpuSecond: 100, p99: 2, lost: 0 },
      latency: [
        [50, 1],
        [99, 2],
      ],
    },
    { round: 2, broker: 'gateway', metrics: { deliveriesPerCpuSecond: 600, p99: 2, lost: 3 } },
    { round: 2, broker: 'mosquitto', metrics: { deliveriesPerCpuSecond: 200, p99: 4 } },
  ],
  targets: { mosquitto: 3.2 },
}
const report: LoadReport = {
  format: 1,
  startedAt: '2026-11-01T00:00:00.000Z',
  command: 'openclaw load pairs --peer mosquitto',
  machine: {
    cpu: 'CPU',
    cores: 2,
    memoryGigabytes: 8,
    system: 'Linux 6',
    node: '20.20.2',
    brokerCores: '0',
    loadCores: '1',
    workers: 1,
    loadAverage: 0.1,
  },
  brokers: [{ name: 'gateway', version: '1', settings: 'store: { type: level }' }],
  rows: [row],
}

function bounds(...texts: string[]): Threshold[] {
  return texts.map((text) => parseThreshold(text)!)
}

describe('a report', () => {
  it('compares run with run of the same round', () => {
    expect(ratiosIn(row, 'mosquitto', 'deliveriesPerCpuSecond')).toEqual([4, 3])
    expect(ratioSpreadIn(row, 'mosquitto', 'deliveriesPerCpuSecond')).toEqual({
      median: 3.5,
      q1: 3.25,
      q3: 3.75,
    })
    expect(spreadIn(row, 'gateway', 'p99')?.median).toBe(1.5)
  })

  it('has no ratio where a ratio says nothing, and no spread of what was not measured', () => {
    expect(ratioSpreadIn(row, 'mosquitto', 'lost')).toBeUndefined()
    expect(spreadIn(row, 'gateway', 'rss')).toBeUndefined()
    expect(spreadIn(row, 'mosquitto', 'lost')?.median).toBe(0)
  })

  it('adds what it sums up for programs that read it', () => {
    const [summed] = (
      withSummaries(report) as { rows: { ratios: Record<string, Record<string, unknown>> }[] }
    ).rows
    expect(summed?.ratios['mosquitto']?.['p99']).toEqual({ median: 0.5, q1: 0.5, q3: 0.5 })
  })

  it('is a table on a terminal', () => {
    const text = terminalReport(report)
    expect(text).toContain('qos 1, payload 64 B')
    expect(text).toMatch(/deliveries per CPU-second.* 500 \(450 to 550\) .*3\.50 \(3\.25 to 3\.75\)$/m)
  })

  it('is one page that loads nothing, and takes no text for markup', () => {
    const page = htmlReport(report)
    expect(page).toContain('pairs &lt;b&gt;')
    expect(page).not.toContain('pairs <b>')
    expect(page).not.toMatch(/<script|<link|src=|url\(|https?:/)
    expect(page).not.toContain('NaN')
    expect(page.match(/<svg/g)).toHaveLength(3)
  })
})

describe('thresholds', () => {
  it('are read as ratio, ratio of a metric, or figure', () => {
    expect(
      bounds('ratio=8', 'ratio.p99=1.2', 'p99=5').map(({ of, metric, value }) => [of, metric, value]),
    ).toEqual([
      ['ratio', undefined, 8],
      ['ratio', 'p99', 1.2],
      ['figure', 'p99', 5],
    ])
    for (const text of [
      'ratio',
      'ratio=',
      'speed=3',
      'ratio.speed=3',
      'p99=-1',
      'p99=1ms',
      'constructor=1',
    ]) {
      expect(parseThreshold(text)).toBeUndefined()
    }
  })

  it('say which median breaks them', () => {
    const untargeted = { ...report, rows: [{ ...row, targets: {} }] }
    expect(brokenThresholds(untargeted, bounds('ratio=3.5'), bounds('p99=1.5', 'ratio.p99=0.5'))).toEqual([])
    expect(brokenThresholds(untargeted, bounds('ratio=3.6'), bounds('p99=1.4'))).toEqual([
      'pairs <b>: deliveriesPerCpuSecond is 3.50 times mosquitto, below ratio=3.6',
      'pairs <b>: p99 is 1.50, above p99=1.4',
    ])
  })

  it('fail where they cannot be checked', () => {
    expect(brokenThresholds(report, bounds('rss=1'), [])).toHaveLength(1)
    const alone = { ...report, rows: [{ ...row, brokers: ['gateway'] }] }
    expect(brokenThresholds(alone, bounds('ratio=1'), [])).toHaveLength(1)
  })

  it('hold a row to its own targets', () => {
    expect(brokenThresholds(report, [], [])).toEqual([])
    const missed = { ...report, rows: [{ ...row, targets: { mosquitto: 4 } }] }
    expect(brokenThresholds(missed, [], [])).toEqual(['pairs <b>: 3.50 times mosquitto; the target is >= 4'])
    const latency = { ...report, rows: [{ ...row, figure: 'p99' as const, targets: { mosquitto: 0.4 } }] }
    expect(brokenThresholds(latency, [], [])).toEqual([
      'pairs <b>: 0.50 times mosquitto; the target is <= 0.4',
    ])
  })
})

it('shows three digits that count', () => {
  expect([0, 0.12345, 12.345, 999.6, 1_234_567, -1e-12, NaN].map(amount)).toEqual([
    ...['0', '0.123', '12.3', '1000', '1,230,000', '0', '-'],
  ])
})

it('sums up a CPU profile by the time that functions took themselves', () => {
  const node = (id: number, functionName: string, url = '') => ({
    id,
    callFrame: { functionName, url, lineNumber: 9 },
  })
  const profile = {
    nodes: [node(1, '(idle)'), node(2, 'flush', 'node:net'), node(3, 'writev'), node(4, 'flush', 'node:net')],
    samples: [1, 2, 3, 4],
    timeDeltas: [500, 100, 100, 200],
  }
  expect(selfTimes(profile)).toEqual([' 75.0 %  flush node:net:10', ' 25.0 %  writev'])
})
