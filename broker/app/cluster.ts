import type { Clock } from '../contract/clock.js'
import type { Router } from '../contract/router.js'
import type { Service } from '../contract/service.js'
import type { SharedStore } from '../contract/store.js'
import { ClusterBus } from '../router/bus/cluster-bus.js'
import { LocalInterest } from '../router/bus/local-interest.js'
import { ClusterMembership } from '../router/membership/cluster-membership.js'
import { createRouter } from '../router/router.js'
import type { ClusterLinks } from '../session/cluster/cluster-links.js'
import type { RedisConnections } from '../store/redis/connection.js'
import { createRedisPort } from '../store/redis/port.js'
import type { Telemetry } from '../telemetry/telemetry.js'
import { step } from './services.js'

export interface ClusterSettings {
  readonly store: SharedStore
  readonly connections: RedisConnections
  readonly keyPrefix: string
  readonly leaseSeconds: number
  readonly clock: Clock
  readonly telemetry: Telemetry
}

/** What a gateway has that is one of many. */
export interface Cluster {
  readonly router: Router
  readonly links: ClusterLinks
  readonly membership: ClusterMembership
  /** In front of the store, so that it is stopped behind it: the others take over what is left, at once. */
  readonly farewell: Service
  /** Behind the store: others can send from here on. */
  readonly entry: readonly Service[]
  /** Behind the sessions: what is published here from then on reaches the others. */
  readonly introduction: Service
}

/** Makes the parts that stand between nodes; nothing is opened. */
export function createCluster(settings: ClusterSettings): Cluster {
  const { store, connections, keyPrefix, leaseSeconds, clock, telemetry } = settings
  const redis = createRedisPort(connections, keyPrefix)
  const interest = new LocalInterest()
  const router = createRouter({ interest })
  const membership = new ClusterMembership({
    store,
    redis,
    leaseMs: leaseSeconds * 1_000,
    clock,
    events: telemetry.membership,
  })
  const bus = new ClusterBus({
    membership,
    redis,
    router,
    interest,
    clock,
    events: telemetry.bus,
    onDefect: (error) => telemetry.pipeline.defect(error),
  })
  return {
    router,
    links: { store, membership, bus, interest },
    membership,
    farewell: step('farewell', { stop: () => membership.stop() }),
    // There is a stream to write to when the others hear of this node.
    entry: [
      bus,
      step('membership', {
        start: () => membership.start(),
        stop: () => {
          membership.retire()
          return Promise.resolve()
        },
        readiness: () => membership.readiness(),
      }),
    ],
    introduction: step('introduction', { start: () => bus.introduced() }),
  }
}
