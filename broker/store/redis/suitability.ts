import type { Clock } from '../../contract/clock.js'
import { GatewayError } from '../../contract/errors.js'
import type { RedisClient, RedisConnections } from './connection.js'
import { FORMAT_VERSION, formatKey, Layout, partitionsFor } from './layout.js'

export interface OpenRedisOptions {
  readonly connections: RedisConnections
  readonly keyPrefix: string
  readonly connectTimeoutMs: number
}

export interface OpenedRedis {
  readonly client: RedisClient
  readonly layout: Layout
}

/** What there is to say about a Redis that answers. */
export interface Inspection {
  /** What has to be mended before messages are safe in it. */
  readonly fault: string | undefined
  /** What can be lived with. */
  readonly risks: readonly string[]
}

/** Commands and keys that the gateway uses (store, bus, leases), tried out on keys that go at once. */
const PROBE = `
local key = KEYS[1]
redis.call('EXISTS', key)
redis.call('SET', key, '1', 'PX', 1000)
redis.call('GET', key)
redis.call('MSET', key, '1')
redis.call('MGET', key)
redis.call('DECR', key)
redis.call('PEXPIRE', key, 1000)
redis.call('EXPIRE', key, 1)
redis.call('DEL', key)
redis.call('HSET', key, 'a', 1)
redis.call('HINCRBY', key, 'a', 1)
redis.call('HGET', key, 'a')
redis.call('HMGET', key, 'a')
redis.call('HEXISTS', key, 'a')
redis.call('HKEYS', key)
redis.call('HGETALL', key)
redis.call('HSCAN', key, 0)
redis.call('HDEL', key, 'a')
redis.call('ZADD', key, 1, 'a')
redis.call('ZCARD', key)
redis.call('ZSCORE', key, 'a')
redis.call('ZRANGE', key, 0, 0)
redis.call('ZRANGEBYSCORE', key, 1, 1)
redis.call('ZREM', key, 'a')
redis.call('ZREMRANGEBYSCORE', key, 1, 1)
redis.call('SADD', key, 'a')
redis.call('SCARD', key)
redis.call('SSCAN', key, 0)
redis.call('SREM', key, 'a')
redis.call('SPOP', key, 1)
redis.call('XADD', key, '1-0', 'a', 'b')
redis.call('XRANGE', key, '-', '+')
redis.call('XREAD', 'STREAMS', key, '0')
redis.call('XINFO', 'STREAM', key)
redis.call('XTRIM', key, 'MINID', '2-0')
redis.call('DEL', key)
redis.call('PUBLISH', ARGV[1], '')
redis.call('TIME')
`
/** The oldest Redis whose commands are those the store uses. */
const OLDEST = [6, 2] as const

/**
 * Connects, and makes sure that this Redis can serve as a store. Rejects with REDIS_UNREACHABLE, REDIS_UNSUITABLE or
 * STORE_VERSION, and leaves no connection behind.
 */
export async function openRedis(options: OpenRedisOptions, clock: Clock): Promise<OpenedRedis> {
  const client = options.connections.open('store')
  try {
    await connected(client, options, clock)
    await checkKind(client, options)
    const layout = new Layout(options.keyPrefix, await agreedPartitions(client, options))
    await checkRights(client, layout, options)
    return { client, layout }
  } catch (error) {
    options.connections.end(client)
    throw error
  }
}

/** A connection that is usable, for looking around. Rejects with REDIS_UNREACHABLE. */
export async function connectedRedis(
  connections: RedisConnections,
  timeoutMs: number,
  clock: Clock,
): Promise<RedisClient> {
  const client = connections.open('look')
  await connected(client, { connections, connectTimeoutMs: timeoutMs }, clock)
  return client
}

/** Resolves when the connection is usable; rejects when it is refused, or when the time is over. */
function connected(
  client: RedisClient,
  { connections, connectTimeoutMs }: Pick<OpenRedisOptions, 'connections' | 'connectTimeoutMs'>,
  clock: Clock,
): Promise<void> {
  if (client.status === 'ready') return Promise.resolve()
  return new Promise((resolve, reject) => {
    let last: Error | undefined
    const end = (act: () => void): void => {
      timer.cancel()
      client.off('ready', onReady).off('error', onError).off('node error', onError)
      act()
    }
    const fail = (): void => end(() => reject(unreachable(connections.address, last)))
    const onReady = (): void => end(resolve)
    const onError = (error: Error): void => {
      last = causeOf(error)
      if (isFinal(last)) fail()
    }
    const timer = clock.schedule(connectTimeoutMs, fail)
    client.on('ready', onReady).on('error', onError).on('node error', onError)
  })
}

/** A Cluster reports the failure of all its nodes, and behind it that of the last one. */
function causeOf(error: Error & { readonly lastNodeError?: unknown }): Error {
  return error.lastNodeError instanceof Error ? error.lastNodeError : error
}

function isFinal({ message }: Error): boolean {
  return /WRONGPASS|NOAUTH|NOPERM|invalid password|without any password configured|cluster support disabled/.test(
    message,
  )
}

function unreachable(address: string, cause: Error | undefined): GatewayError {
  const text = cause?.message ?? 'no answer in time'
  if (text.includes('cluster support disabled'))
    return unsuitable(
      `The Redis at ${address} is no Cluster.`,
      'Use `redis.url` instead of `redis.nodes`.',
      cause,
    )
  if (/WRONGPASS|NOAUTH|invalid password|without any password configured/.test(text))
    return new GatewayError(
      'REDIS_UNREACHABLE',
      `The Redis at ${address} refuses the user or password (${text}).`,
      {
        hint: 'Check user and password in `redis.url`, or `redis.username` and `redis.password`.',
        cause,
      },
    )
  return new GatewayError('REDIS_UNREACHABLE', `There is no usable Redis at ${address} (${text}).`, {
    hint: 'Check the address, that it runs, and whether it wants `rediss://`.',
    cause,
  })
}

async function checkKind(client: RedisClient, { connections }: OpenRedisOptions): Promise<void> {
  const info = await infoOf(client)
  const { address } = connections
  if (info.get('role') === 'slave')
    throw unsuitable(
      `The Redis at ${address} is a read-only replica of ${info.get('master_host') ?? '?'}:${info.get('master_port') ?? '?'}.`,
      'Point `redis.url` at the master, or use `redis.sentinels`.',
    )
  if (info.get('cluster_enabled') === '1' && !connections.isCluster)
    throw unsuitable(
      `The Redis at ${address} is part of a Cluster.`,
      'Use `redis.nodes` instead of `redis.url`.',
    )
  const version = info.get('redis_version')
  if (version !== undefined && olderThan(version, OLDEST))
    throw unsuitable(
      `The Redis at ${address} is version ${version}.`,
      `At least ${OLDEST.join('.')} is needed.`,
    )
}

function olderThan(version: string, [major, minor]: readonly [number, number]): boolean {
  const [foundMajor = 0, foundMinor = 0] = version.split('.').map(Number)
  return foundMajor < major || (foundMajor === major && foundMinor < minor)
}

/** What is written down in Redis counts: a single Redis that becomes a Cluster keeps its one partition. */
async function agreedPartitions(
  client: RedisClient,
  { keyPrefix, connections }: OpenRedisOptions,
): Promise<number> {
  const key = formatKey(keyPrefix)
  try {
    await client.hsetnx(
      key,
      'partitions',
      connections.isCluster ? partitionsFor(mastersOf(client).length) : 1,
    )
    await client.hsetnx(key, 'version', FORMAT_VERSION)
  } catch (error) {
    throw refusedRight(error, connections.address, keyPrefix)
  }
  const { version, partitions } = await client.hgetall(key)
  if (version !== String(FORMAT_VERSION))
    throw new GatewayError(
      'STORE_VERSION',
      `The keys ${keyPrefix} at ${connections.address} have format ${version ?? '?'}; this gateway has ${FORMAT_VERSION}.`,
      { hint: 'Start the version that wrote them, or use another `redis.keyPrefix`.' },
    )
  return Number(partitions)
}

async function checkRights(
  client: RedisClient,
  layout: Layout,
  { connections, keyPrefix }: OpenRedisOptions,
): Promise<void> {
  try {
    await Promise.all(
      Array.from({ length: layout.partitions }, (_, index) =>
        client.eval(PROBE, 1, `${layout.base(index)}probe`, layout.channel),
      ),
    )
  } catch (error) {
    throw refusedRight(error, connections.address, keyPrefix)
  }
}

/** What Redis refuses, in words that tell what to do. */
export function refusedRight(error: unknown, address: string, prefix: string): unknown {
  if (!(error instanceof Error)) return error
  if (/READONLY/.test(error.message))
    return unsuitable(
      `The Redis at ${address} is a read-only replica.`,
      'Point `redis` at the master.',
      error,
    )
  if (/MISCONF|OOM/.test(error.message))
    return unsuitable(
      `The Redis at ${address} refuses writes (${error.message}).`,
      'Give it memory or disk; its log says more.',
      error,
    )
  if (/NOPERM|ACL failure|no permissions|user executing the script can't/i.test(error.message))
    return unsuitable(
      `The Redis at ${address} does not give the user the rights that the gateway needs (${error.message}).`,
      `Give them with: ACL SETUSER <user> ~${prefix}* &${prefix}* +@read +@write +@pubsub +@scripting +@connection +info +wait +time`,
      error,
    )
  return unsuitable(`The Redis at ${address} cannot be used (${error.message}).`, 'See its log.', error)
}

/** What an operator has to know about a Redis that works. Looked at anew from time to time: settings change. */
export async function inspectRedis(client: RedisClient, address: string): Promise<Inspection> {
  const risks: string[] = []
  let fault: string | undefined
  for (const node of mastersOf(client)) {
    const info = await infoOf(node)
    const policy = info.get('maxmemory_policy')
    if (policy !== undefined && policy !== 'noeviction' && info.get('maxmemory') !== '0')
      fault = `The Redis at ${address} deletes messages and sessions when its memory is full (maxmemory-policy ${policy}); set it to noeviction.`
    if (info.get('aof_enabled') === '0') {
      const saves = await savesOf(node)
      if (saves === '')
        risks.push(
          `The Redis at ${address} keeps nothing on disk: a restart of it loses acknowledged messages. Set appendonly to yes.`,
        )
      else if (saves !== undefined)
        risks.push(
          `The Redis at ${address} keeps snapshots only: a crash of it loses what was acknowledged since the last one. Set appendonly to yes.`,
        )
    }
  }
  return { fault, risks: [...new Set(risks)] }
}

/** A server of its own, or each master of a Cluster. */
export function mastersOf(client: RedisClient): readonly RedisClient[] {
  return 'nodes' in client ? client.nodes('master') : [client]
}

/** Undefined where the user may not ask. */
async function savesOf(client: RedisClient): Promise<string | undefined> {
  try {
    const reply = (await client.call('config', 'get', 'save')) as readonly string[]
    return reply[1]
  } catch {
    return undefined
  }
}

/** Empty where the user may not ask. */
async function infoOf(client: RedisClient): Promise<ReadonlyMap<string, string>> {
  let text: string
  try {
    text = await client.info()
  } catch {
    return new Map()
  }
  return new Map(
    text.split('\r\n').flatMap((line) => {
      const colon = line.indexOf(':')
      return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1)] as const]
    }),
  )
}

function unsuitable(message: string, hint: string, cause?: unknown): GatewayError {
  return new GatewayError('REDIS_UNSUITABLE', message, { hint, cause })
}
