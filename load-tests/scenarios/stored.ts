import { spreadOf } from '../measure/statistics.js'
import type { Drained } from '../traffic/drain.js'
import type { StoredPlan } from '../traffic/plan.js'
import { brokerUsage, known, perCpuSecond } from './measured.js'
import type { RunContext, Scenario } from './scenario.js'

const CONCERNS = ['transport', 'version', 'qos', 'payloadBytes', 'messages'] as const

/** New clients subscribe, one after the other, to all of many retained messages by a wildcard. */
export const retained: Scenario = {
  summary: 'a wildcard subscription over many retained messages',
  figure: 'deliveriesPerCpuSecond',
  defaults: { qos: 1, messages: 10_000, readers: 10 },
  concerns: [...CONCERNS, 'readers'],
  freshBroker: false,
  async run(context) {
    const { crew, settings, progress } = context
    progress('publishing retained messages')
    await crew.one('retained.fill', storedPlan(context))
    try {
      const before = brokerUsage(context)
      const reads: Drained[] = []
      for (let reader = 0; reader < settings.readers; reader++) {
        progress(`client ${reader + 1} of ${settings.readers} reads`)
        reads.push(await crew.one('retained.read', reader))
      }
      const after = brokerUsage(context)
      const received = reads.reduce((total, read) => total + read.received, 0)
      const seconds = reads.reduce((total, read) => total + read.lastMs, 0) / 1_000
      return {
        metrics: known({
          deliveriesPerCpuSecond: perCpuSecond(received, before, after),
          deliveriesPerSecond: received / seconds,
          firstMs: spreadOf(reads.map((read) => read.firstMs)).median,
          lastMs: spreadOf(reads.map((read) => read.lastMs)).median,
          lost: reads.reduce((total, read) => total + read.lost, 0),
          duplicates: reads.reduce((total, read) => total + read.duplicates, 0),
        }),
      }
    } finally {
      progress('clearing up')
      await crew.one('retained.clear', undefined)
    }
  },
}

/** Sessions whose clients are away get messages; then all clients come back at a time. */
export const resume: Scenario = {
  summary: 'queued sessions are filled, and drained when all clients come back',
  figure: 'deliveriesPerCpuSecond',
  defaults: { qos: 1, receivers: 200, messages: 500 },
  concerns: [...CONCERNS, 'receivers'],
  freshBroker: false,
  async run(context) {
    const { crew, settings, progress } = context
    const qos = settings.qos === 2 ? 2 : 1
    await crew.one('queues.prepare', { ...storedPlan(context), qos, sessions: settings.receivers })
    try {
      progress('filling the queues')
      const empty = brokerUsage(context)
      await crew.one('queues.fill', undefined)
      const full = brokerUsage(context)
      progress('draining the queues')
      const drained = await crew.one('queues.drain', undefined)
      const after = brokerUsage(context)
      return {
        metrics: known({
          deliveriesPerCpuSecond: perCpuSecond(drained.received, full, after),
          deliveriesPerSecond: (1_000 * drained.received) / drained.lastMs,
          queuedPerCpuSecond: perCpuSecond(settings.receivers * settings.messages, empty, full),
          firstMs: drained.firstMs,
          lastMs: drained.lastMs,
          lost: drained.lost,
          duplicates: drained.duplicates,
        }),
      }
    } finally {
      progress('clearing up')
      await crew.one('queues.clear', undefined)
    }
  },
}

function storedPlan({ broker, settings, runId }: RunContext): StoredPlan {
  const { transport, version, qos, payloadBytes, messages, patienceMs } = settings
  return {
    endpoint: broker.endpoint(transport),
    runId,
    version,
    qos,
    payloadBytes,
    count: messages,
    patienceMs,
  }
}
