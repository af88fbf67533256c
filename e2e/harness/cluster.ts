import { afterAll, afterEach, beforeAll } from 'vitest'
import { keysOf, startCluster, startRedis, type RedisServer } from '../../broker/store/redis/testing.js'
import type { ConfigInput } from '../../config/schema.js'
import { TestGateway } from './gateway.js'

export { keysOf, type RedisServer }

/** Short, so that a test sees what happens behind it. */
export const LEASE_SECONDS = 1.5

export interface ClusterOptions {
  readonly nodes?: number
  /** Masters of a Redis Cluster; 1: a single Redis. */
  readonly masters?: number
  readonly config?: ConfigInput
}

/** Gateways within the test's process that share a Redis of their own. */
export class TestCluster {
  readonly nodes: TestGateway[] = []
  servers: readonly RedisServer[] = []

  constructor(private readonly options: ClusterOptions) {}

  async start(): Promise<void> {
    const { nodes = 3, masters = 1 } = this.options
    this.servers = masters > 1 ? await startCluster(masters) : [await startRedis()]
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

  get redis(): ConfigInput['redis'] {
    const urls = this.servers.map(({ url }) => url)
    const { masters = 1 } = this.options
    return {
      keyPrefix: 'e2e',
      commandTimeoutSeconds: 2,
      ...(masters > 1 ? { nodes: urls } : { url: urls[0] }),
    }
  }

  async stop(): Promise<void> {
    for (const node of this.nodes.splice(0)) await node.dispose()
    await Promise.all(this.servers.map((server) => server.stop()))
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
    const errors = all.flatMap((node) => node.errors)
    if (errors.length > 0) throw new Error(`a node has logged errors: ${JSON.stringify(errors)}`)
  })
  return cluster
}
