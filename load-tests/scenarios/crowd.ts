import { GatewayError } from '../../broker/contract/errors.js'
import { monotonicMs } from '../measure/monotonic.js'
import { processUsage } from '../measure/process-usage.js'
import type { Arrival, CrowdPlan } from '../traffic/crowd.js'
import { brokerUsage, known, latencyCurve, latencyMetrics, pause, perCpuSecond } from './measured.js'
import type { RunContext, Scenario } from './scenario.js'

const CONCERNS = ['transport', 'version', 'connections', 'sessions', 'durationMs'] as const

/** A new broker has not yet come to rest when it listens. */
const REST_MS = 2_000

/** Memory of a connection that does nothing: (RSS with all - RSS with none) / all, after `durationMs`. */
export const idle: Scenario = {
  summary: 'connections that do nothing: memory of the broker for each',
  figure: 'kilobytesPerConnection',
  defaults: { connections: 10_000, durationMs: 60_000 },
  concerns: CONCERNS,
  freshBroker: true,
  async run(context) {
    const { settings, progress } = context
    if (brokerUsage(context) === undefined) {
      throw new GatewayError('BROKER_UNREACHABLE', 'idle needs the process of the broker: name it with --pid')
    }
    await pause(Math.min(REST_MS, settings.durationMs))
    const without = memoryOf(context)
    return withCrowd(context, 'steadily', async (arrivals) => {
      progress(`${settings.connections} connections, ${settings.durationMs / 1_000} s of rest`)
      await pause(settings.durationMs)
      const rss = brokerUsage(context)?.rssBytes ?? 0
      const connected = sum(arrivals, ({ connected: count }) => count)
      const [here, elsewhere, redis] = growth(without, memoryOf(context), 1_000 * connected)
      return {
        metrics: known({
          kilobytesPerConnection: here,
          kilobytesPerConnectionElsewhere: elsewhere,
          redisKilobytesPerConnection: redis,
          rss: rss / 1_000_000,
          connectFailures: sum(arrivals, ({ failed }) => failed),
        }),
      }
    })
  },
}

/** Memory of a subscription to a filter that nobody else has, on the node of the client, on another one and in Redis. */
export const subscriptions: Scenario = {
  summary: 'clients with many subscriptions: memory of the broker for each',
  figure: 'bytesPerSubscription',
  defaults: { connections: 2_000, durationMs: 5_000 },
  concerns: ['transport', 'version', 'connections', 'filters', 'sessions', 'durationMs'],
  freshBroker: true,
  async run(context) {
    const { crew, settings, progress } = context
    return withCrowd(context, 'steadily', async (arrivals) => {
      await pause(settings.durationMs)
      const without = memoryOf(context)
      progress('subscribing')
      await crew.all('crowd.subscribe', () => settings.filters)
      await pause(settings.durationMs)
      const connected = sum(arrivals, ({ connected: count }) => count)
      const [here, elsewhere, redis] = growth(without, memoryOf(context), connected * settings.filters)
      return {
        metrics: known({
          bytesPerSubscription: here,
          bytesPerSubscriptionElsewhere: elsewhere,
          redisBytesPerSubscription: redis,
          connectFailures: sum(arrivals, ({ failed }) => failed),
        }),
      }
    })
  },
}

type Memory = readonly (number | undefined)[]

/** Bytes of the node with the clients, of another one, and of Redis; undefined of what there is not. */
function memoryOf({ broker }: RunContext): Memory {
  const redis = broker.redisPid()
  const [first, second] = broker.pids().filter((pid) => pid !== redis)
  return [first, second, redis].map((pid) => (pid === undefined ? undefined : processUsage(pid)?.rssBytes))
}

function growth(before: Memory, after: Memory, count: number): Memory {
  return before.map((bytes, index) => {
    const now = after[index]
    return bytes === undefined || now === undefined || count === 0 ? undefined : (now - bytes) / count
  })
}

/** All clients connect at the same moment, and again after a restart of the broker. */
export const storm: Scenario = {
  summary: 'all clients connect at once, and come back after a restart',
  figure: 'connectsPerCpuSecond',
  defaults: { connections: 5_000 },
  concerns: ['transport', 'version', 'connections'],
  freshBroker: true,
  async run(context) {
    const { broker, crew, progress } = context
    const before = brokerUsage(context)
    const begun = monotonicMs()
    return withCrowd(context, 'together', async (arrivals) => {
      const seconds = (monotonicMs() - begun) / 1_000
      const after = brokerUsage(context)
      const connected = sum(arrivals, (arrival) => arrival.connected)
      let returnSeconds
      if (broker.restart !== undefined) {
        progress('restarting the broker')
        await broker.restart()
        const restarted = monotonicMs()
        await crew.all('crowd.returned', () => undefined)
        returnSeconds = (monotonicMs() - restarted) / 1_000
      }
      return {
        metrics: known({
          connectsPerSecond: connected / seconds,
          connectsPerCpuSecond: perCpuSecond(connected, before, after),
          connectFailures: sum(arrivals, ({ failed }) => failed),
          returnSeconds,
          ...latencyMetrics(arrivals.map(({ latency }) => latency)),
        }),
        latency: latencyCurve(arrivals.map(({ latency }) => latency)),
      }
    })
  },
}

async function withCrowd<T>(
  context: RunContext,
  arrival: CrowdPlan['arrival'],
  work: (arrivals: Arrival[]) => Promise<T>,
): Promise<T> {
  const { broker, crew, settings, runId, progress } = context
  const { transport, version, connections, sessions, patienceMs } = settings
  progress('connecting')
  try {
    const arrivals = await crew.all('crowd.connect', (worker) => ({
      endpoint: broker.endpoint(transport),
      runId,
      version,
      connections,
      clean: sessions === 'clean',
      arrival,
      patienceMs,
      worker,
      workers: crew.size,
    }))
    const problem = arrivals.find((each) => each.problem !== undefined)?.problem
    if (problem !== undefined) progress(`some clients were not connected: ${problem}`)
    return await work(arrivals)
  } finally {
    progress('disconnecting')
    await crew.all('crowd.close', () => undefined)
  }
}

function sum(arrivals: readonly Arrival[], pick: (arrival: Arrival) => number): number {
  return arrivals.reduce((total, arrival) => total + pick(arrival), 0)
}
