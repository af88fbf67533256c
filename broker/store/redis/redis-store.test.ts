import { afterAll } from 'vitest'
import { describeWith, findProgram } from '../../../e2e/harness/programs.js'
import { storeConformance } from '../conformance/suite.js'
import type { RedisConnections } from './connection.js'
import { flushAll, startCluster, startRedis, storeOn, type RedisServer } from './testing.js'

// The suite makes a store before any hook runs.
const installed = findProgram('redis-server') !== undefined
const single = installed ? [await startRedis()] : []
const cluster = installed ? await startCluster(3) : []
const opened: RedisConnections[] = []

afterAll(async () => {
  for (const connections of opened) connections.close()
  await Promise.all([...single, ...cluster].map((server) => server.stop()))
})

function conformance(name: string, servers: readonly RedisServer[]): void {
  storeConformance({
    name,
    survivesReopen: true,
    create(limits, events, clock) {
      const { store, connections } = storeOn(servers, {}, { limits, events, clock })
      opened.push(connections)
      return store
    },
    reset: () => flushAll(servers),
  })
}

describeWith('Redis', ['redis-server'], () => {
  conformance('redis', single)
  conformance('redis on a Cluster of three masters', cluster)
})
