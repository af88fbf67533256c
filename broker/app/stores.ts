import { randomBytes } from 'node:crypto'
import type { Config } from '../../config/schema.js'
import type { Clock } from '../contract/clock.js'
import { GatewayError } from '../contract/errors.js'
import type { Store, StoreLimits } from '../contract/store.js'
import { LevelStore } from '../store/level/level-store.js'
import { MemoryStore } from '../store/memory/memory-store.js'
import { RedisConnections } from '../store/redis/connection.js'
import type { Nodes } from '../store/redis/adoption.js'
import { RedisStore } from '../store/redis/redis-store.js'
import type { Telemetry } from '../telemetry/telemetry.js'
import { createCluster, type Cluster } from './cluster.js'

/** What keeps the data of a configuration. */
export interface Stores {
  readonly store: Store
  /** Where there is a Redis, whoever wants one. */
  readonly connections: RedisConnections | undefined
  /** The nodes that share the store; undefined: it belongs to this process. */
  readonly cluster: Cluster | undefined
}

/** Makes the store of the configuration; nothing is opened. Throws TLS_FILE_INVALID. */
export function createStores(config: Config, telemetry: Telemetry, clock: Clock): Stores {
  const { redis } = config
  const connections = redis === undefined ? undefined : new RedisConnections(redis, telemetry.redis)
  const suspect = async (instance: string) => cluster?.membership.suspect(instance)
  const store = createStore(config, connections, { suspect }, telemetry, clock)
  const cluster =
    store instanceof RedisStore && connections !== undefined && redis !== undefined
      ? createCluster({
          store,
          connections,
          keyPrefix: redis.keyPrefix,
          leaseSeconds: config.cluster.leaseSeconds,
          clock,
          telemetry,
        })
      : undefined
  return { store, connections, cluster }
}

function createStore(
  { store, node, limits, redis }: Config,
  connections: RedisConnections | undefined,
  nodes: Nodes,
  telemetry: Telemetry,
  clock: Clock,
): Store {
  const bounds: StoreLimits = {
    queuedMessages: limits.queuedMessages,
    queuedBytes: limits.queuedBytes,
    whenFull: limits.whenQueueFull,
    retainedMessages: limits.retainedMessages,
    retainedBytes: limits.retainedBytes,
  }
  switch (store.type) {
    case 'memory':
      return new MemoryStore(bounds, telemetry.store, clock)
    case 'level':
      return new LevelStore({ directory: node.dataDir, sync: store.sync }, bounds, telemetry.store, clock)
    case 'redis': {
      if (redis === undefined || connections === undefined)
        throw new GatewayError('CONFIG_INVALID', '`store.type: redis` needs `redis`.')
      const options = {
        connections,
        keyPrefix: redis.keyPrefix,
        waitReplicas: redis.waitReplicas,
        connectTimeoutMs: redis.connectTimeoutSeconds * 1_000,
        newInstance: () => randomBytes(9).toString('base64url'),
        nodes,
      }
      return new RedisStore(options, bounds, telemetry.store, clock)
    }
  }
}
