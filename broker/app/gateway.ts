import { randomBytes } from 'node:crypto'
import type { DestinationStream } from 'pino'
import type { Environment } from '../../config/environment.js'
import type { Config } from '../../config/schema.js'
import { AccessService } from '../access/access-service.js'
import { compileAccessPolicy } from '../access/policy.js'
import { AdminServer } from '../admin/admin-server.js'
import { loadDashboard } from '../admin/dashboard-files.js'
import { systemClock, type Clock } from '../contract/clock.js'
import type { Engine } from '../contract/engine.js'
import { Message } from '../contract/message.js'
import type { Service } from '../contract/service.js'
import type { SocketSource } from '../contract/transport.js'
import { createEngine, type Aedes } from '../engine/engine.js'
import { StorePersistence } from '../engine/persistence.js'
import { createRouter } from '../router/router.js'
import { SessionService } from '../session/session-service.js'
import { SysTree } from '../telemetry/sys-tree.js'
import type { MetricSamples } from '../telemetry/merged-metrics.js'
import { Telemetry } from '../telemetry/telemetry.js'
import { Listener, type ListenerAddress } from '../transport/listener.js'
import { createBridges } from './bridges.js'
import { Drain } from './drain.js'
import { duty } from './duty.js'
import { PACKAGE_VERSION } from './package.js'
import { ServiceStack, step, type ServiceReadiness } from './services.js'
import { createStores } from './stores.js'

export interface GatewayOptions {
  /** Where the configuration came from, for the first line of the log. */
  readonly configSource?: string
  /** For `${NAME}` in the bridges file. Default: nothing. */
  readonly environment?: Environment
  /** Where log lines go. Default: standard output. */
  readonly logDestination?: DestinationStream
  /** Default: the system's. Tests hand in one that jumps. */
  readonly clock?: Clock
}

/** For a gateway that is one of several processes of a node. */
export interface WorkerOptions {
  /** Where its listeners get their sockets from. */
  readonly sockets: SocketSource
}

export interface Gateway {
  /** Resolves when every listener is open; rejects with a `GatewayError`, and nothing is left running. */
  start(): Promise<void>
  /**
   * Takes no more clients, and asks those that there are to leave, at the pace of `shutdown`; the gateway goes on
   * otherwise. Resolves when all have left, or when their time is over. Idempotent.
   */
  drain(): Promise<void>
  /** Drains, writes what is under way, closes everything. Idempotent. */
  stop(): Promise<void>
  /** The Aedes broker: its documented hooks, events, `publish` and `subscribe`. Set hooks before `start`. */
  readonly broker: Aedes
  /** The pipelines; stopping them first flushes their windows to whoever is still connected. */
  readonly bridges: Service
  /** By name of the listener; after `start`. */
  readonly addresses: ReadonlyMap<string, ListenerAddress>
  /** Of the admin listener, undefined where there is none; after `start`. */
  readonly adminUrl: string | undefined
}

/** What the process around a gateway needs of it beside that. */
export interface GatewayProcess extends Gateway {
  readiness(): readonly ServiceReadiness[]
  /** Clients that are connected. */
  clients(): number
  metrics(): Promise<readonly MetricSamples[]>
  /** Its name among the nodes that share its store, since it joined them last; undefined: it is alone. */
  node(): string | undefined
  /** The process of the node of that name has ended: what it had is taken over at once. */
  nodeEnded(node: string): Promise<void>
  /** Begins what a node does once: pipelines and `$SYS`. A gateway that is no worker has begun it already. */
  lead(): Promise<void>
}

/**
 * Puts a gateway together: the one place where the parts meet. Nothing is opened before `start`, except for the
 * bridges file, whose faults are reported here.
 */
export async function buildGateway(
  config: Config,
  options: GatewayOptions & { readonly worker?: WorkerOptions } = {},
): Promise<GatewayProcess> {
  const { clock = systemClock } = options
  const nodeId = config.node.id === 'auto' ? randomBytes(6).toString('hex') : config.node.id
  const telemetry = new Telemetry({
    config,
    node: nodeId,
    listeners: config.listeners.map(({ name }) => name),
    authenticators: config.auth.authenticators.map(({ name }) => name),
    clock,
    ...(options.logDestination !== undefined && { destination: options.logDestination }),
  })
  const log = telemetry.log('gateway')

  const { store, connections, cluster } = createStores(config, telemetry, clock)
  const router = cluster?.router ?? createRouter()
  const publishing = createEngine({
    store,
    router,
    clock,
    events: telemetry.pipeline,
    nodeId,
    persistence: new StorePersistence(store),
    bus: cluster?.links.bus,
  })
  const { engine, broker } = publishing
  const access = new AccessService(config.auth, { clock, events: telemetry.access, fetch, randomBytes })
  const sessions = new SessionService({
    engine,
    router,
    store,
    links: cluster?.links,
    stopWithinMs: config.shutdown.graceSeconds * 1000,
    authentication: access,
    enhancedAuthentication: access,
    policy: compileAccessPolicy(config.access.rules),
    events: telemetry.session,
    clock,
    limits: config.limits,
    settings: config.session,
    newClientId: () => `auto-${randomBytes(9).toString('base64url')}`,
    onDefect: (error) => telemetry.pipeline.defect(error),
  })
  const leads = options.worker === undefined
  const pipelines = createBridges(config.bridges.file, {
    engine,
    router,
    store,
    clock,
    telemetry,
    environment: options.environment ?? {},
    graceMs: config.shutdown.graceSeconds * 1000,
  })

  const bridges = duty(pipelines, leads)
  const sys =
    config.sys.intervalSeconds > 0
      ? duty(createSysTree(config, telemetry, engine, cluster === undefined ? undefined : nodeId), leads)
      : undefined

  let connectionsSoFar = 0
  const nextConnectionId = () => ++connectionsSoFar
  const listeners = await Promise.all(
    config.listeners.map(async (listener) => {
      const wantsDashboard = 'dashboard' in listener && listener.dashboard
      return new Listener(listener, {
        acceptConnection: sessions.accept,
        events: telemetry.transport,
        clock,
        nextConnectionId,
        limits: config.limits,
        timeouts: { shutdownMs: config.shutdown.graceSeconds * 1000 },
        source: options.worker?.sockets,
        handleRequest: wantsDashboard ? await loadDashboard({ webSocketPath: listener.path }) : undefined,
      })
    }),
  )
  telemetry.watch({
    sessions: () => sessions.sessionCount,
    subscriptions: () => router.subscriptionCount,
    retainedMessages: () => store.retainedCount,
  })

  const drain = new Drain({
    listeners,
    bridges,
    sessions,
    settings: config.shutdown,
    elsewhere: () => cluster !== undefined && cluster.membership.others.size > 0,
    clock,
    log,
  })
  const readiness = () => [...stack.readiness(), ...drain.readiness()]
  const admin = config.admin.enabled
    ? new AdminServer(config.admin, {
        telemetry,
        readiness,
        drain,
      })
    : undefined
  const stack: ServiceStack = new ServiceStack(
    [
      telemetry,
      ...(admin === undefined ? [] : [admin]),
      step('redis', {
        stop: () => {
          connections?.close()
          return Promise.resolve()
        },
      }),
      ...(cluster === undefined ? [] : [cluster.farewell]),
      step('store', {
        start: () => store.open(),
        stop: () => store.close(),
        readiness: () => store.readiness(),
      }),
      ...(cluster?.entry ?? []),
      publishing,
      access,
      // Closed behind the sessions: they say goodbye through these sockets.
      step('sockets', { stop: () => all(listeners, (listener) => listener.stop()) }),
      sessions,
      ...(cluster === undefined ? [] : [cluster.introduction]),
      bridges,
      ...(sys === undefined ? [] : [sys]),
      step('listeners', {
        start: () => inTurn(listeners, (listener) => listener.start()),
        stop: () => {
          for (const listener of listeners) listener.stopAccepting()
          return Promise.resolve()
        },
      }),
    ],
    (service, error) => log.error({ service, err: error }, 'a service did not stop cleanly'),
  )

  return {
    broker,
    bridges,
    async start() {
      log.info({ config: options.configSource }, 'starting')
      await stack.start()
      log.info('ready')
    },
    drain: () => (stack.running ? drain.run() : Promise.resolve()),
    async stop() {
      // What has not been started has nobody to say goodbye to.
      if (stack.running) await drain.run()
      await stack.stop()
    },
    readiness,
    clients: () => sessions.clientCount,
    metrics: () => telemetry.metrics(),
    node: () => cluster?.membership.self,
    nodeEnded: async (node) => cluster?.membership.ended(node),
    async lead() {
      await bridges.lead()
      await sys?.lead()
    },
    get addresses() {
      return new Map(listeners.map((listener) => [listener.name, listener.address()]))
    },
    get adminUrl() {
      return admin?.url
    },
  }
}

/** `node`: the name of this node, where there may be others. */
function createSysTree(
  { sys }: Config,
  telemetry: Telemetry,
  engine: Engine,
  node: string | undefined,
): Service {
  // Three rounds: what a node that is no more has left behind is nobody's truth.
  const lastsMs = node === undefined ? undefined : sys.intervalSeconds * 3_000
  return new SysTree({
    node,
    version: `OpenClaw Gateway ${PACKAGE_VERSION}`,
    intervalSeconds: sys.intervalSeconds,
    clock: systemClock,
    read: () => telemetry.readings(),
    publish: (topic, value) => {
      const now = systemClock.now()
      const fields = {
        topic,
        payload: Buffer.from(value ?? ''),
        qos: 0,
        retain: true,
        receivedAt: now,
        expiresAt: lastsMs === undefined ? undefined : now + lastsMs,
      } as const
      engine.publish(new Message(fields), undefined, (error) => {
        if (error !== undefined) telemetry.session.messageDropped('store_failed', undefined, 1)
      })
    },
  })
}

/** One after the other: the log shows them in the order of the configuration, and the first fault ends it. */
async function inTurn<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  for (const item of items) await run(item)
}

async function all<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  await Promise.all(items.map(run))
}
