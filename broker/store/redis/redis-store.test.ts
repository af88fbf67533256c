import { afterAll } from 'vitest'
import { describeWith, findProgram } from '../../../e2e/harness/programs.js'
import { storeConformance } from '../conformance/suite.js'
import { RedisConnections } from './connection.js'
import { RedisStore } from './redis-store.js'
import {
  clusterConfig,
  flushAll,
  redisConfig,
  startCluster,
  startRedis,
  type RedisServer,
} from './testing.js'

// The suite makes a store before any hook runs.
const installed = findProgram('redis-server') !== undefined
const single = installed ? [await startRedis()] : []
const cluster = installed ? await startCluster(3) : []
const opened: RedisConnections[] = []
let instances = 0

afterAll(async () => {
  for (const connections of opened) connections.close()
  await Promise.all([...single, ...cluster].map((server) => server.stop()))
})

function conformance(name: string, servers: readonly RedisServer[]): void {
  storeConformance({
    name,
    survivesReopen: true,
    create(limits, events, clock) {
      const [first] = servers
      const config = servers.length === 1 ? redisConfig(first?.port ?? 0) : clusterConfig(servers)
      const connections = new RedisConnections(config, { redisLost: () => {}, redisBack: () => {} })
      opened.push(connections)
      const options = {
        connections,
        keyPrefix: 'test',
        waitReplicas: 0,
        connectTimeoutMs: 5_000,
        newInstance: () => `node${++instances}`,
      }
      return new RedisStore(options, limits, events, clock)
    },
    reset: () => flushAll(servers),
  })
}

describeWith('Redis', ['redis-server'], () => {
  conformance('redis', single)
  conformance('redis on a Cluster of three masters', cluster)
})
