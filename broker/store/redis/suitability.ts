import type { Clock } from '../../contract/clock.js'
import { GatewayError } from '../../contract/errors.js'
import type { RedisClient, RedisConnections } from './connection.js'
import { FORMAT_VERSION, formatKey, Layout, partitionsFor } from './layout.js'
import { missingRights, refusalOf } from './refusals.js'
import { refusedRights } from './rights.js'

export interface OpenRedisOptions {
  readonly connections: RedisConnections
  readonly keyPrefix: string
  /** Replicas that are to have a write; 0: nobody waits. */
  readonly waitReplicas: number
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

export function unreachable(address: string, cause: Error | undefined): GatewayError {
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
  const [, command] = /NOPERM.*'([a-z|]+)' command/.exec(text) ?? []
  if (command !== undefined)
    return unsuitable(
      `The Redis at ${address} does not give the user the right that the gateway needs (${text}).`,
      `Give it with: ACL SETUSER <user> +${command}`,
      cause,
    )
  return new GatewayError('REDIS_UNREACHABLE', `There is no usable Redis at ${address} (${text}).`, {
    hint: 'Check the address, that it runs, and whether it wants `rediss://`.',
    cause,
  })
}

async function checkKind(client: RedisClient, { connections, keyPrefix }: OpenRedisOptions): Promise<void> {
  const info = await infoOf(client)
  const { address } = connections
  const database = 'nodes' in client ? 0 : (client.options.db ?? 0)
  // The client goes on in database 0 when it is refused another one, and says nothing.
  if (database > 0)
    await client.select(database).catch((error: unknown) => {
      throw refusedRight(error, connections, keyPrefix, `The database ${database} of the Redis`)
    })
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
  let format: Record<string, string>
  try {
    await client.hsetnx(
      key,
      'partitions',
      connections.isCluster ? partitionsFor(mastersOf(client).length) : 1,
    )
    await client.hsetnx(key, 'version', FORMAT_VERSION)
    format = await client.hgetall(key)
  } catch (error) {
    throw refusedRight(error, connections, keyPrefix)
  }
  const { version, partitions } = format
  if (version !== String(FORMAT_VERSION))
    throw new GatewayError(
      'STORE_VERSION',
      `The keys ${keyPrefix} at ${connections.address} have format ${version ?? '?'}; this gateway has ${FORMAT_VERSION}.`,
      { hint: 'Start the version that wrote them, or use another `redis.keyPrefix`.' },
    )
  return Number(partitions)
}

async function checkRights(client: RedisClient, layout: Layout, options: OpenRedisOptions): Promise<void> {
  const { connections, keyPrefix, waitReplicas } = options
  const { address, isCluster } = connections
  try {
    const lacking = await refusedRights(client, layout.probes, layout.channel)
    if (lacking.length > 0) {
      const { what, hint } = missingRights(lacking, { keyPrefix, isCluster })
      throw unsuitable(`The Redis at ${address} ${what}.`, hint)
    }
    await client.ping()
    if (waitReplicas > 0) await client.wait(0, 1)
    await tryScriptBySha(client, layout)
  } catch (error) {
    throw refusedRight(error, connections, keyPrefix)
  }
}

/** A script that is not known: so says Redis, unless the user may not ask. */
async function tryScriptBySha(client: RedisClient, layout: Layout): Promise<void> {
  const [key = ''] = layout.probes
  await client.evalsha('0'.repeat(40), 1, key).catch((error: unknown) => {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
  })
}

/** What Redis refuses at the start, in words that tell what to do. */
export function refusedRight(
  error: unknown,
  { address, isCluster }: Pick<RedisConnections, 'address' | 'isCluster'>,
  keyPrefix: string,
  who = 'The Redis',
): unknown {
  if (error instanceof GatewayError || !(error instanceof Error)) return error
  const { what, hint } = refusalOf(error.message, { keyPrefix, isCluster }) ?? {
    what: `cannot be used (${error.message})`,
    hint: 'See its log and its settings.',
  }
  return unsuitable(`${who} at ${address} ${what}.`, hint, error)
}

/** What an operator has to know about a Redis that works. Looked at anew from time to time: settings change. */
export async function inspectRedis(client: RedisClient, address: string): Promise<Inspection> {
  const risks: string[] = []
  let fault: string | undefined
  for (const node of mastersOf(client)) {
    const info = await infoOf(node)
    if (info.size === 0)
      risks.push(
        `The Redis at ${address} does not let the user run INFO: whether it deletes messages when its memory is full, or keeps nothing on disk, is not known. Give the right with: ACL SETUSER <user> +info`,
      )
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
