import type { Clock } from '../../contract/clock.js'
import type { StoreEvents } from '../../contract/events.js'
import type { StoreLimits } from '../../contract/store.js'
import { storeClosed } from '../failures.js'
import { Accepts } from './accepts.js'
import { Changes } from './changes.js'
import type { RedisClient, RedisConnections } from './connection.js'
import type { Layout } from './layout.js'
import { RedisLink } from './link.js'
import { Partition, type BatchNotices } from './partition.js'
import type { RedisHandle } from './redis-handle.js'
import { RetainedTopics } from './retained-topics.js'
import { Vigil } from './vigil.js'
import type { WriteLine } from './write-line.js'

/** What a running store stands on; anew when it begins again under another name. */
export interface Running {
  readonly client: RedisClient
  readonly link: RedisLink
  readonly layout: Layout
  readonly partitions: readonly Partition[]
  readonly topics: RetainedTopics
  readonly changes: Changes
  readonly accepts: Accepts
  readonly vigil: Vigil
}

export interface RunningParts {
  readonly instance: string
  readonly client: RedisClient
  readonly layout: Layout
  readonly connections: RedisConnections
  readonly waitReplicas: number
  readonly writes: WriteLine
  /** The newest handle of each client that this node has open: they are told what becomes of their queues. */
  readonly handles: ReadonlyMap<string, RedisHandle>
  readonly limits: StoreLimits
  readonly clock: Clock
  readonly events: StoreEvents
  readonly onFenced: () => void
}

export function assemble(parts: RunningParts): Running {
  const { instance, client, layout, connections, waitReplicas, writes, limits, clock, events, onFenced } =
    parts
  const { address, isCluster } = connections
  const ofLink = {
    address,
    isCluster,
    waitReplicas,
    keyPrefix: layout.prefix,
    faultOfConnection: () => connections.faultOf(client),
    onFailure: (error: unknown) => connections.failed(error),
  }
  const link = new RedisLink(client, ofLink, clock, events, onFenced)
  const topics = new RetainedTopics(limits)
  const changes = new Changes(link, layout, topics, instance, clock, events)
  const notices = noticesFor(parts.handles, changes, topics)
  const ofPartitions = { link, node: instance, channel: layout.channel, limits, clock, events, notices }
  return {
    client,
    link,
    layout,
    partitions: Array.from(
      { length: layout.partitions },
      (_, index) => new Partition(index, layout.base(index), ofPartitions),
    ),
    topics,
    changes,
    accepts: new Accepts(writes, topics, instance, clock),
    vigil: new Vigil(client, address, link, layout, clock, events),
  }
}

/** Lets go at once: what is under way fails, what waits is refused. */
export function release(
  { vigil, link, changes, client, partitions }: Running,
  connections: RedisConnections,
): void {
  vigil.stop()
  link.end()
  changes.stop(connections)
  connections.end(client)
  for (const partition of partitions) partition.abandon(link.failure ?? storeClosed())
}

function noticesFor(
  handles: ReadonlyMap<string, RedisHandle>,
  changes: Changes,
  topics: RetainedTopics,
): BatchNotices {
  return {
    isWatched: (clientId) => handles.has(clientId),
    queue: (clientId, born, count, settledUpTo, last) => {
      const handle = handles.get(clientId)
      if (handle?.born !== born) return
      handle.queued = count
      if (settledUpTo !== false) handle.settledUpTo = settledUpTo
      handle.queuedUpTo = last
    },
    change: (partition, version, packed) => changes.change(partition, version, packed),
    retainedBytes: (partition, bytes) => topics.setBytes(partition, bytes),
  }
}
