import type { Topology, TrafficPlan } from '../traffic/plan.js'
import type { TrafficOutcome, TrafficWindow } from '../traffic/traffic.js'
import { latencyCurve, outcomeMetrics, pause, windowMetrics } from './measured.js'
import type { LoadSettings, RunContext, Scenario } from './scenario.js'

const CONCERNS: readonly (keyof LoadSettings)[] = [
  ...(['transport', 'version', 'qos', 'payloadBytes', 'publishers', 'receivers'] as const),
  ...(['pace', 'sessions', 'warmupMs', 'durationMs'] as const),
]

/** One publisher, many receivers of each message: where sharing of work between deliveries shows. */
export const fanout: Scenario = {
  ...trafficScenario('fanout'),
  summary: 'one publisher, every receiver gets every message',
  defaults: { publishers: 1, receivers: 500, pace: { kind: 'closed', outstanding: 32 } },
}

/** Many publishers, one receiver: what taking a message in costs. */
export const fanin: Scenario = {
  ...trafficScenario('fanin'),
  summary: 'many publishers, one receiver gets all messages',
  defaults: { publishers: 200, receivers: 1, pace: { kind: 'closed', outstanding: 1 } },
}

/** A read and a write a message, with nothing to share. */
export const pairs: Scenario = {
  ...trafficScenario('pairs'),
  summary: 'as many receivers as publishers, each with its own',
  defaults: { publishers: 200, receivers: 200, pace: { kind: 'closed', outstanding: 1 } },
}

function trafficScenario(topology: Topology): Omit<Scenario, 'summary' | 'defaults'> {
  return {
    figure: 'deliveriesPerCpuSecond',
    concerns: CONCERNS,
    freshBroker: false,
    run: (context) =>
      withTraffic(context, topology, async (traffic) => {
        await pause(context.settings.warmupMs)
        const windows = await traffic.window(context.settings.durationMs)
        const outcomes = await traffic.end()
        return {
          metrics: { ...windowMetrics(windows), ...outcomeMetrics(outcomes) },
          latency: latencyCurve(windows.map((window) => window.latency)),
        }
      }),
  }
}

/** Traffic that flows; steps of all workers at once. */
export interface FlowingTraffic {
  window(ms: number): Promise<TrafficWindow[]>
  /** `count` receivers read no more. */
  stopReading(count: number): Promise<void>
  /** Stops publishing, waits for what is under way, and counts. */
  end(): Promise<TrafficOutcome[]>
}

/** Sets publishers and receivers going, and clears up behind `work`, however it ends. */
export async function withTraffic<T>(
  context: RunContext,
  topology: Topology,
  work: (traffic: FlowingTraffic) => Promise<T>,
): Promise<T> {
  const { crew, progress } = context
  const none = () => undefined
  progress('connecting')
  try {
    await crew.all('traffic.open', (worker) => planFor(context, topology, worker))
    progress('under load')
    await crew.all('traffic.start', none)
    return await work({
      async window(ms) {
        await crew.all('traffic.beginWindow', none)
        await pause(ms)
        return crew.all('traffic.endWindow', none)
      },
      async stopReading(count) {
        const share = Math.ceil(count / crew.size)
        await crew.all('traffic.stopReading', (worker) => Math.min(share, count - worker * share))
      },
      async end() {
        const sent = (await crew.all('traffic.stop', none)).flat()
        return crew.all('traffic.settle', () => sent)
      },
    })
  } finally {
    progress('disconnecting')
    await crew.all('traffic.close', none)
  }
}

function planFor(
  { broker, crew, settings, runId }: RunContext,
  topology: Topology,
  worker: number,
): TrafficPlan {
  const { version, publishers, receivers, qos, payloadBytes, pace, sessions, patienceMs } = settings
  return {
    endpoint: broker.endpoint(settings.transport),
    receiverEndpoints: broker.receiverEndpoints(settings.transport),
    brokerPids: broker.pids(),
    redisPid: broker.redisPid(),
    runId,
    version,
    topology,
    publishers,
    receivers,
    qos,
    payloadBytes,
    pace,
    sessions,
    patienceMs,
    worker,
    workers: crew.size,
  }
}
