import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Config } from '../../../config/schema.js'
import { AdminServer } from '../../admin/admin-server.js'
import { systemClock } from '../../contract/clock.js'
import { mergedScrape, type MetricSamples } from '../../telemetry/merged-metrics.js'
import { Telemetry } from '../../telemetry/telemetry.js'
import { Drain } from '../drain.js'
import type { Gateway } from '../gateway.js'
import { ServiceStack, step } from '../services.js'
import { Front } from './front.js'
import { WorkerPool } from './pool.js'

/** Processes of a node by its configuration. */
export function workerCount({ node }: Config): number {
  return node.workers === 'auto' ? availableParallelism() : node.workers
}

const WORKER_MAIN = fileURLToPath(new URL('./worker-main.js', import.meta.url))

/**
 * A node of several processes: this one listens, answers on the admin listener and sees to the others, which are whole
 * gateways on the store that they share.
 */
export function buildNode(config: Config, configSource: string): Pick<Gateway, 'start' | 'stop'> {
  const clock = systemClock
  const count = workerCount(config)
  const nodeId = config.node.id === 'auto' ? randomBytes(6).toString('hex') : config.node.id
  const { shutdown } = config
  const telemetry = new Telemetry({
    config,
    node: nodeId,
    listeners: config.listeners.map(({ name }) => name),
    authenticators: [],
    clock,
  })
  const log = telemetry.log('node')
  const pool = new WorkerPool({
    count,
    fork: () => fork(WORKER_MAIN, { serialization: 'json' }),
    greeting: (worker) => ({
      kind: 'start',
      config: workerConfig(config, `${nodeId}-${worker}`, count),
      configSource,
    }),
    events: telemetry.workers,
    clock,
    random: Math.random,
    stopWithinMs: (shutdown.drainSeconds + 5 * shutdown.graceSeconds) * 1_000,
  })
  const front = new Front(config.listeners, pool, telemetry.transport)
  const drain = new Drain({
    listeners: [front],
    // Those of the worker that leads are stopped by its own drain.
    bridges: { stop: () => Promise.resolve() },
    sessions: {
      get clientCount() {
        return pool.clients
      },
      // Each worker has its part of the pace.
      drain: () => pool.drain().then(() => true),
    },
    settings: shutdown,
    elsewhere: () => true,
    clock,
    log,
  })
  // By force, too: the workers must not outlive this process.
  const killWorkers = (): void => pool.kill()
  const admin = config.admin.enabled
    ? new AdminServer(config.admin, {
        telemetry: {
          log: (part) => telemetry.log(part),
          scrape: async () => {
            const own = (await telemetry.metrics()).filter(({ name }) => OF_THIS_PROCESS.test(name))
            return mergedScrape(
              new Map<string, readonly MetricSamples[]>([...(await pool.metrics()), ['0', own]]),
            )
          },
        },
        readiness: () => [...stack.readiness(), ...pool.readiness(), ...drain.readiness()],
        drain,
      })
    : undefined
  const stack: ServiceStack = new ServiceStack(
    [
      telemetry,
      ...(admin === undefined ? [] : [admin]),
      step('workers', {
        start: async () => {
          process.on('exit', killWorkers)
          await pool.start()
        },
        stop: async () => {
          await pool.stop()
          process.removeListener('exit', killWorkers)
        },
      }),
      step('listeners', {
        start: () => front.start(),
        stop: () => {
          front.stopAccepting()
          return Promise.resolve()
        },
      }),
    ],
    (service, error) => log.error({ service, err: error }, 'a service did not stop cleanly'),
  )
  return {
    async start() {
      log.info({ config: configSource, workers: count }, 'starting')
      await stack.start()
      log.info('ready')
    },
    async stop() {
      if (stack.running) await drain.run()
      await stack.stop()
    },
  }
}

/** What this process knows better than a worker, or alone; everything else of it is 0. */
const OF_THIS_PROCESS =
  /^(?:process_|nodejs_|openclaw_event_loop_delay_seconds$|openclaw_worker_exits_total$|openclaw_connections_refused_total$|openclaw_accept_failures_total$)/

/** A worker has no admin listener, a name of its own and its part of what is bounded for the node. */
function workerConfig(config: Config, id: string, count: number): Config {
  const { node, admin, shutdown } = config
  const clientsPerSecond = Math.max(1, Math.floor(shutdown.clientsPerSecond / count))
  return {
    ...config,
    node: { ...node, id, workers: 1 },
    admin: { ...admin, enabled: false },
    shutdown: { ...shutdown, noticeSeconds: 0, clientsPerSecond },
  }
}
