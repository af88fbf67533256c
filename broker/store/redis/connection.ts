import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import { Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis'
import type { RedisConfig } from '../../../config/schema.js'
import { GatewayError } from '../../contract/errors.js'
import type { RedisEvents } from '../../contract/events.js'

/** A connection as ioredis gives it; reconnects by itself until it is ended. */
export type RedisClient = Redis | Cluster

/** Longest pause between two attempts to connect. */
const RETRY_MS = 1_000
/** How long a Redis has to hang up as well when a connection is ended; one that does not answer never does. Milliseconds. */
const HANG_UP_MS = 100

/**
 * Makes the connections to the Redis of the configuration: the one place that knows whether it is a single one, a
 * Cluster or behind Sentinel. Nothing waits inside a connection: without one a command fails at once, and whoever
 * sent it decides. An error listener is always attached, since an `error` that nobody hears ends the process.
 */
export class RedisConnections {
  private readonly clients = new Set<RedisClient>()
  private readonly options: RedisOptions
  /** Why a connection is not usable, as it said last. */
  private readonly faults = new WeakMap<RedisClient, Error>()

  /** Throws TLS_FILE_INVALID. */
  constructor(
    private readonly config: RedisConfig,
    private readonly events: RedisEvents,
  ) {
    this.options = commonOptions(config)
  }

  get isCluster(): boolean {
    return this.config.nodes !== undefined
  }

  /** Where the Redis is, without credentials, for messages. */
  get address(): string {
    return addressOf(this.config)
  }

  /**
   * A new connection that begins to connect. `name` is seen in `CLIENT LIST`, behind the key prefix. `timeout`: whether
   * commands that stay without an answer fail after `commandTimeoutSeconds`; not for blocking ones.
   */
  open(name: string, { timeout = true }: { readonly timeout?: boolean } = {}): RedisClient {
    const options: RedisOptions = {
      ...this.options,
      connectionName: `${this.config.keyPrefix}:${name}`,
      ...(timeout && { commandTimeout: this.config.commandTimeoutSeconds * 1_000 }),
    }
    const client = this.create(options)
    this.watch(client, name)
    this.clients.add(client)
    return client
  }

  /** What keeps the connection from being usable: a refused password, say. Undefined: it is, or said nothing. */
  faultOf(client: RedisClient): Error | undefined {
    return this.faults.get(client)
  }

  /**
   * To be told what a command failed with. Where Redis did not answer in time all its connections are made anew: a host
   * that vanished closes none, and behind Sentinel another one may be the master by now. A Cluster finds that out itself.
   */
  failed(error: unknown): void {
    if (this.isCluster || !(error instanceof Error) || error.message !== 'Command timed out') return
    for (const client of this.clients) if (client.status === 'ready') client.disconnect(true)
  }

  /** Resolves when the connection is usable, or has been ended. */
  ready(client: RedisClient): Promise<void> {
    if (client.status === 'ready' || client.status === 'end') return Promise.resolve()
    return new Promise((resolve) => {
      const over = (): void => {
        client.off('ready', over).off('end', over)
        resolve()
      }
      client.on('ready', over).on('end', over)
    })
  }

  /** Ends one connection; commands that are under way fail. */
  end(client: RedisClient): void {
    this.clients.delete(client)
    client.disconnect()
  }

  /** Ends all that are left. */
  close(): void {
    for (const client of this.clients) this.end(client)
  }

  private create(options: RedisOptions): RedisClient {
    const { url, nodes, sentinels, master } = this.config
    if (nodes !== undefined)
      return new Cluster(
        nodes.map((node) => endpointOf(node)),
        clusterOptions(options),
      )
    if (sentinels !== undefined) {
      const first = new URL(sentinels[0] ?? '')
      return new Redis({
        ...options,
        sentinels: sentinels.map(sentinelEndpoint),
        name: master ?? '',
        ...(first.password !== '' && { sentinelPassword: decodeURIComponent(first.password) }),
        ...(first.username !== '' && { sentinelUsername: decodeURIComponent(first.username) }),
        ...(first.protocol === 'rediss:' && { enableTLSForSentinelMode: true }),
        sentinelRetryStrategy: retryDelay,
      })
    }
    const address = new URL(url ?? '')
    return new Redis({ ...options, ...endpointOf(url ?? ''), db: Number(address.pathname.slice(1) || 0) })
  }

  private watch(client: RedisClient, name: string): void {
    let lost = false
    const gone = (error: Error): void => {
      if (lost || !this.clients.has(client)) return
      lost = true
      this.events.redisLost(name, error)
    }
    const failed = (error: Error): void => {
      this.faults.set(client, error)
      gone(error)
    }
    client.on('error', failed)
    if (client instanceof Cluster) client.on('node error', failed)
    client.on('close', () => gone(new Error('the connection was closed')))
    client.on('ready', () => {
      if (lost) this.events.redisBack(name)
      lost = false
      this.faults.delete(client)
    })
  }
}

function commonOptions(config: RedisConfig): RedisOptions {
  const address = new URL(config.url ?? config.nodes?.[0] ?? config.sentinels?.[0] ?? '')
  const ofSentinel = config.sentinels !== undefined
  const username = ofSentinel ? config.username : decodeURIComponent(address.username) || config.username
  const password = ofSentinel ? config.password : decodeURIComponent(address.password) || config.password
  return {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(address.protocol === 'rediss:' && { tls: tlsOptions(config) }),
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // ioredis hears of no failure of it: a connection that is cut once more at that moment would end the process.
    autoResubscribe: false,
    connectTimeout: config.connectTimeoutSeconds * 1_000,
    disconnectTimeout: HANG_UP_MS,
    keepAlive: 30_000,
    retryStrategy: retryDelay,
    // Behind a failover the connection may still lead to what is a replica now.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
    disableClientInfo: true,
  }
}

function clusterOptions(options: RedisOptions): ClusterOptions {
  const { retryStrategy, enableOfflineQueue, ...redisOptions } = options
  return {
    redisOptions,
    enableOfflineQueue: enableOfflineQueue ?? false,
    clusterRetryStrategy: retryStrategy ?? retryDelay,
    slotsRefreshTimeout: 2_000,
    slotsRefreshInterval: 10_000,
    // Few, soon: what still fails then waits where its owner can see it.
    maxRedirections: 4,
    retryDelayOnFailover: 100,
    retryDelayOnClusterDown: 100,
    retryDelayOnTryAgain: 100,
  }
}

function retryDelay(attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt, 10), RETRY_MS)
}

function tlsOptions({ caFile, certFile, keyFile }: RedisConfig): ConnectionOptions {
  return {
    ...(caFile !== undefined && { ca: pem(caFile) }),
    ...(certFile !== undefined && { cert: pem(certFile) }),
    ...(keyFile !== undefined && { key: pem(keyFile) }),
  }
}

function pem(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new GatewayError('TLS_FILE_INVALID', `${file} cannot be read`, { cause: error })
  }
}

function endpointOf(url: string, defaultPort = 6_379): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(url)
  return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? defaultPort : Number(port) }
}

const sentinelEndpoint = (url: string): ReturnType<typeof endpointOf> => endpointOf(url, 26_379)

export function addressOf({ url, nodes, sentinels, master }: RedisConfig): string {
  const named = (address: string): string => text(endpointOf(address))
  if (nodes !== undefined) return `the Cluster at ${nodes.map(named).join(', ')}`
  if (sentinels !== undefined)
    return `master ${master ?? ''} of the sentinels at ${sentinels.map((sentinel) => text(sentinelEndpoint(sentinel))).join(', ')}`
  return named(url ?? '')
}

function text({ host, port }: ReturnType<typeof endpointOf>): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}
