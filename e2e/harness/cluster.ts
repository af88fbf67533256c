import { afterAll, afterEach, beforeAll } from 'vitest'
import {
  keysOf,
  startCluster,
  startRedis,
  startSentinels,
  type RedisServer,
  type SentinelGroup,
} from '../../broker/store/redis/testing.js'
import type { ConfigInput } from '../../config/schema.js'
import { TestGateway } from './gateway.js'

export { keysOf, type RedisServer }

/** Short, so that a test sees what happens behind it. */
export const LEASE_SECONDS = 1.5

export interface ClusterOptions {
  readonly nodes?: number
  /** Masters of a Redis Cluster; 1: a single Redis. */
  readonly masters?: number
  /** A master and its replica behind three sentinels. */
  readonly sentinels?: boolean
  /** On top of where it is. */
  readonly redis?: Omit<NonNullable<ConfigInput['redis']>, 'url' | 'nodes' | 'sentinels' | 'master'>
  readonly config?: ConfigInput
  /** Events of the errors that the tests of the file bring about. */
  readonly bringsAbout?: readonly string[]
}

/** Gateways within the test's process that share a Redis of their own. */
export class TestCluster {
  readonly nodes: TestGateway[] = []
  servers: readonly RedisServer[] = []
  private group: SentinelGroup | undefined

  constructor(private readonly options: ClusterOptions) {}

  async start(): Promise<void> {
    const { nodes = 3, masters = 1, sentinels = false } = this.options
    this.group = sentinels ? await startSentinels() : undefined
    this.servers = this.group?.servers ?? (masters > 1 ? await startCluster(masters) : [await startRedis()])
    for (let i = 0; i < nodes; i++) await this.addNode()
  }

  async addNode(): Promise<TestGateway> {
    const node = new TestGateway({
      store: { type: 'redis' },
      redis: this.redis,
      cluster: { leaseSeconds: LEASE_SECONDS },
      sys: { intervalSeconds: 0 },
      shutdown: { graceSeconds: 2 },
      ...this.options.config,
    })
    await node.start()
    this.nodes.push(node)
    return node
  }

  get sentinels(): SentinelGroup {
    if (this.group === undefined) throw new Error('there are no sentinels')
    return this.group
  }

  get redis(): ConfigInput['redis'] {
    const { masters = 1, redis } = this.options
    const common = { keyPrefix: 'e2e', commandTimeoutSeconds: 2, ...redis }
    if (this.group !== undefined) {
      const { sentinels, master } = this.group
      return { ...common, sentinels: sentinels.map(({ url }) => url), master }
    }
    const urls = this.servers.map(({ url }) => url)
    return {
      ...common,
      ...(masters > 1 ? { nodes: urls } : { url: urls[0] }),
    }
  }

  async stop(): Promise<void> {
    for (const node of this.nodes.splice(0)) await node.dispose()
    await (this.group?.stop() ?? Promise.all(this.servers.map((server) => server.stop())))
  }
}

/** A cluster for the tests of a file; fails the file when one of its nodes has logged an error. */
export function useCluster(options: ClusterOptions = {}): TestCluster {
  const cluster = new TestCluster(options)
  beforeAll(() => cluster.start())
  afterEach(() => {
    for (const node of cluster.nodes) node.dropClients()
  })
  afterAll(async () => {
    const { nodes } = cluster
    const all = [...nodes]
    await cluster.stop()
    const { bringsAbout = [] } = options
    const errors = all.flatMap((node) => node.errors).filter(({ event = '' }) => !bringsAbout.includes(event))
    if (errors.length > 0) throw new Error(`a node has logged errors: ${JSON.stringify(errors)}`)
  })
  return cluster
}
