import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import type { RedisConfig } from '../../../config/schema.js'
import { systemClock, type Clock } from '../../contract/clock.js'
import type { StoreEvents } from '../../contract/events.js'
import type { StoreLimits } from '../../contract/store.js'
import { freePort } from '../../contract/free-port.js'
import { RecordedEvents, roomy } from '../conformance/bench.js'
import type { Nodes } from './adoption.js'
import { RedisConnections } from './connection.js'
import { RedisStore } from './redis-store.js'

/** redis-server, as Debian and the images install it. */
const PROGRAM = 'redis-server'
const SLOTS = 16_384

/** A node of a Cluster listens for the others so far above its port. */
const CLUSTER_BUS = 10_000

export interface RedisServer {
  readonly port: number
  readonly url: string
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>
  /** SIGSTOP and SIGCONT: the sockets stay, nothing answers. */
  pause(): void
  resume(): void
  /** Starts it again on the same port, with the same data when it was persistent. */
  start(): Promise<void>
  /** Ends it and removes its folder. */
  stop(): Promise<void>
  /** A client of the test's own; ended by `stop`. */
  readonly client: Redis
}

const running = new Set<ChildProcess>()
// A run that is broken off leaves no server behind.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Starts a redis-server on a free port of 127.0.0.1 with a folder of its own; resolves when it answers. */
export async function startRedis(args: readonly string[] = []): Promise<RedisServer> {
  const directory = mkdtempSync(join(tmpdir(), 'openclaw-redis-'))
  // A sentinel keeps its state in the file of its configuration.
  const file = args.includes('--sentinel') ? [join(directory, 'sentinel.conf')] : []
  for (const each of file) writeFileSync(each, '')
  const common = [...file, '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'no']
  let child: ChildProcess | undefined
  let port = 0
  const start = async (): Promise<void> => {
    if (port === 0) port = await freePort(CLUSTER_BUS)
    cutTornTransaction(directory)
    child = spawn(PROGRAM, [...common, '--port', String(port), '--loglevel', 'warning', ...args], {
      stdio: 'ignore',
    })
    const started = child
    running.add(started)
    started.once('exit', () => running.delete(started))
    await answers(port)
  }
  const kill = async (): Promise<void> => {
    const ending = child
    child = undefined
    if (ending === undefined || ending.exitCode !== null) return
    const gone = new Promise((resolve) => ending.once('exit', resolve))
    ending.kill('SIGCONT')
    ending.kill('SIGKILL')
    await gone
  }
  await start()
  const connections = new RedisConnections(redisConfig(port, { password: passwordIn(args) }), {
    redisLost: () => {},
    redisBack: () => {},
  })
  const client = connections.open('test') as Redis
  await until(() => client.status === 'ready')
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    client,
    start,
    kill,
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
    async stop() {
      connections.close()
      await kill()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/**
 * What a crash has torn is cut off. Redis itself leaves the commands of a torn transaction in the append-only file, and
 * carries them out at the start after the next (seen with 7.0.15).
 */
function cutTornTransaction(directory: string): void {
  const manifest = join(directory, 'appendonlydir', 'appendonly.aof.manifest')
  if (existsSync(manifest)) spawnSync('redis-check-aof', ['--fix', manifest], { input: 'y\n' })
}

export interface SentinelGroup {
  /** The master, then its replica. */
  readonly servers: readonly [RedisServer, RedisServer]
  readonly sentinels: readonly RedisServer[]
  readonly master: string
  /** Port of the master, as the first sentinel sees it. */
  masterPort(): Promise<number>
  stop(): Promise<void>
}

/** A master with a replica behind three sentinels that fail over after half a second of silence. */
export async function startSentinels(args: readonly string[] = []): Promise<SentinelGroup> {
  const master = 'shared'
  const first = await startRedis(args)
  const second = await startRedis(['--replicaof', '127.0.0.1', String(first.port), ...args])
  await until(async () => (await second.client.info('replication')).includes('master_link_status:up'))
  const sentinels = await Promise.all([1, 2, 3].map(() => startRedis(['--sentinel'])))
  for (const { client } of sentinels) {
    await client.call('sentinel', 'monitor', master, '127.0.0.1', first.port, 2)
    const settings = ['down-after-milliseconds', '500', 'failover-timeout', '2000', 'parallel-syncs', '1']
    await client.call('sentinel', 'set', master, ...settings)
  }
  const [watcher] = sentinels
  // It knows the replica and the other sentinels: else nobody votes.
  for (const { client } of sentinels)
    await until(async () => {
      const state = new Map(pairsOf(await client.call('sentinel', 'master', master)))
      return state.get('num-slaves') === '1' && state.get('num-other-sentinels') === '2'
    })
  return {
    servers: [first, second],
    sentinels,
    master,
    async masterPort() {
      const reply = (await watcher?.client.call('sentinel', 'get-master-addr-by-name', master)) as string[]
      return Number(reply[1])
    },
    async stop() {
      await Promise.all([...sentinels, first, second].map((server) => server.stop()))
    },
  }
}

function pairsOf(reply: unknown): [string, string][] {
  const flat = reply as readonly string[]
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] ?? '', flat[2 * i + 1] ?? ''])
}

/** A Cluster of `masters` servers without replicas, with the slots shared out evenly. */
export async function startCluster(masters = 3): Promise<readonly RedisServer[]> {
  const servers = await Promise.all(
    Array.from({ length: masters }, () =>
      startRedis(['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000']),
    ),
  )
  for (const [i, { client }] of servers.entries()) {
    const from = Math.floor((i * SLOTS) / masters)
    const until = Math.floor(((i + 1) * SLOTS) / masters)
    await client.call('cluster', 'addslotsrange', from, until - 1)
    await client.call('cluster', 'set-config-epoch', i + 1)
  }
  const first = servers[0]
  for (const { port } of servers.slice(1)) await first?.client.call('cluster', 'meet', '127.0.0.1', port)
  for (const { client } of servers)
    await until(async () => {
      const info = String(await client.call('cluster', 'info'))
      return info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${masters}`)
    })
  return servers
}

/** What a test that has to hold on both is run on. */
export const kindsOfRedis = [
  { name: 'a single Redis', start: async () => [await startRedis()] },
  { name: 'a Cluster', start: () => startCluster() },
]

/** All keys of these servers, sorted. */
export async function keysOf(servers: readonly RedisServer[]): Promise<string[]> {
  return (await Promise.all(servers.map(({ client }) => client.keys('*')))).flat().sort()
}

export async function flushAll(servers: readonly RedisServer[]): Promise<void> {
  await Promise.all(servers.map(({ client }) => client.flushall()))
}

/** Repeats a look until it finds what it waits for; the test's own timeout ends it. */
export async function until(look: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await look())) await new Promise((resolve) => setTimeout(resolve, 20))
}

function answers(port: number): Promise<void> {
  return until(
    () =>
      new Promise<boolean>((resolve) => {
        const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
        socket.once('error', () => resolve(false))
        // A server that wants a password answers, too.
        socket.once('data', (reply) => {
          socket.destroy()
          resolve(!reply.toString().startsWith('-LOADING'))
        })
      }),
  )
}

/** The section `redis` of a configuration with a single server. */
export function redisConfig(port: number, fields: Partial<RedisConfig> = {}): RedisConfig {
  return {
    url: `redis://127.0.0.1:${port}`,
    keyPrefix: 'test',
    waitReplicas: 0,
    connectTimeoutSeconds: 5,
    commandTimeoutSeconds: 2,
    ...fields,
  }
}

/** The same for a Cluster. */
export function clusterConfig(
  servers: readonly RedisServer[],
  fields: Partial<RedisConfig> = {},
): RedisConfig {
  return { ...redisConfig(0), url: undefined, nodes: servers.map(({ url }) => url), ...fields }
}

interface StoreParts {
  readonly limits: StoreLimits
  readonly events: StoreEvents
  readonly clock: Clock
  readonly nodes?: Nodes | undefined
}

export interface StoreOnServers {
  readonly store: RedisStore
  readonly events: RecordedEvents
  /** Ends its connections; close the store before. */
  readonly end: () => Promise<void>
}

let instances = 0

/** A store on these servers, for who brings its events and ends its connections. Not opened yet. */
export function storeOn(
  servers: readonly RedisServer[],
  fields: Partial<RedisConfig>,
  { limits, events, clock, nodes }: StoreParts,
): { readonly store: RedisStore; readonly connections: RedisConnections } {
  const [first] = servers
  const config = servers.length > 1 ? clusterConfig(servers, fields) : redisConfig(first?.port ?? 0, fields)
  const connections = new RedisConnections(config, { redisLost: () => {}, redisBack: () => {} })
  const { keyPrefix, waitReplicas } = config
  const options = {
    connections,
    keyPrefix,
    waitReplicas,
    connectTimeoutMs: config.connectTimeoutSeconds * 1_000,
    ...(nodes && { nodes }),
    newInstance: () => `node${++instances}`,
  }
  return { store: new RedisStore(options, limits, events, clock), connections }
}

/** A store on these servers: one of them as a single Redis, several as a Cluster. Not opened yet. */
export function openableStore(
  servers: readonly RedisServer[],
  fields: Partial<RedisConfig> = {},
  { limits = roomy, clock = systemClock, nodes }: Partial<Omit<StoreParts, 'events'>> = {},
): StoreOnServers {
  const events = new RecordedEvents()
  const { store, connections } = storeOn(servers, fields, { limits, events, clock, nodes })
  return {
    store,
    events,
    end() {
      connections.close()
      return Promise.resolve()
    },
  }
}

function passwordIn(args: readonly string[]): string | undefined {
  const index = args.indexOf('--requirepass')
  return index < 0 ? undefined : args[index + 1]
}
