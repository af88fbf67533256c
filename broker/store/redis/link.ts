import { createHash } from 'node:crypto'
import type { RedisArgument, RedisReply } from '../../contract/cluster.js'
import type { Clock } from '../../contract/clock.js'
import { GatewayError } from '../../contract/errors.js'
import type { StoreEvents } from '../../contract/events.js'
import type { RedisClient } from './connection.js'
import { missingRights, refusalOf, type Refusal } from './refusals.js'
import { unreachable } from './suitability.js'

export interface Script {
  readonly source: string
  readonly sha: string
}

export function script(source: string): Script {
  return { source, sha: createHash('sha1').update(source).digest('hex') }
}

/** Runs a script on the master that holds `key`. */
export async function runScript(
  client: RedisClient,
  { source, sha }: Script,
  key: string,
  args: readonly RedisArgument[],
): Promise<RedisReply> {
  try {
    return (await client.callBuffer('evalsha', sha, 1, key, ...args)) as RedisReply
  } catch (error) {
    if (!isReply(error, 'NOSCRIPT')) throw error
    return (await client.callBuffer('eval', source, 1, key, ...args)) as RedisReply
  }
}

/** Pause before a command that failed is sent again, milliseconds. */
const RETRY_MS = 100
/** How long one WAIT waits for replicas, and holds up its connection, before it is asked again, milliseconds. */
const WAIT_MS = 500

export interface RedisLinkOptions {
  readonly address: string
  readonly waitReplicas: number
  readonly keyPrefix: string
  readonly isCluster: boolean
  /** Why there is no connection, where that is known. */
  readonly faultOfConnection: () => Error | undefined
  /** Told of every command that failed. */
  readonly onFailure: (error: unknown) => void
}

/**
 * The store's connection: scripts, and what is known of the state of Redis. A command that failed because Redis is
 * away is sent again by its owner for as long as the store is open; what may be sent twice takes effect once.
 */
export class RedisLink {
  private outage: GatewayError | undefined
  /** Redis does not answer at all, rather than saying: not now. */
  private outageIsAbsence = false
  /** What Redis refuses although it is there. What it still lets through says nothing: it stays until a probe has found that nothing is refused. */
  private refusal: GatewayError | undefined
  private fault: GatewayError | undefined
  private fenced: GatewayError | undefined
  private ended = false
  private readonly waiting = new Set<() => void>()

  constructor(
    readonly client: RedisClient,
    private readonly options: RedisLinkOptions,
    private readonly clock: Clock,
    private readonly events: StoreEvents,
    /** Called once, when a write is refused because another node has taken over. */
    private readonly onFenced: () => void,
  ) {}

  /** Another node has taken over from this one: nothing that it writes counts any more, whoever sends it again. */
  get isFenced(): boolean {
    return this.fenced !== undefined
  }

  /** Why nothing can be written now; undefined: everything is well. */
  get failure(): GatewayError | undefined {
    if (this.fenced !== undefined) return this.fenced
    // Who is refused connects anew (a replica may have been a master), which is no absence.
    const isGone = this.refusal === undefined || this.options.faultOfConnection() !== undefined
    return (isGone ? this.outage : undefined) ?? this.refusal ?? this.fault
  }

  /** Whether what Redis refuses has to be looked at in full. */
  get isRefused(): boolean {
    return this.refusal !== undefined
  }

  /** Runs a script on the master that holds `key`. */
  run(called: Script, key: string, ...args: readonly RedisArgument[]): Promise<RedisReply> {
    return runScript(this.client, called, key, args)
  }

  async command(name: string, ...args: readonly RedisArgument[]): Promise<RedisReply> {
    return (await this.client.callBuffer(name, ...args)) as RedisReply
  }

  /** Runs a script that writes, and waits for the replicas of the configuration. */
  async write(write: Script, key: string, ...args: readonly RedisArgument[]): Promise<RedisReply> {
    const { waitReplicas } = this.options
    if (waitReplicas === 0) return this.run(write, key, ...args)
    // One pipeline: on a Cluster that is what keeps WAIT on the connection of the write.
    const [ran, waited] =
      (await this.client
        .pipeline([
          ['callBuffer', 'evalsha', write.sha, 1, key, ...args],
          ['wait', waitReplicas, WAIT_MS],
        ])
        .exec()) ?? []
    const failed = ran?.[0] ?? waited?.[0]
    if (failed instanceof Error) {
      if (!isReply(failed, 'NOSCRIPT')) throw failed
      // Loaded by this; then once more for the replicas, since what is sent twice takes effect once.
      await this.client.callBuffer('eval', write.source, 1, key, ...args)
      return this.write(write, key, ...args)
    }
    const replicas = Number(waited?.[1] ?? 0)
    if (replicas < waitReplicas) throw new ReplicasMissing(`${replicas} of ${waitReplicas} replicas have it`)
    return ran?.[1] as RedisReply
  }

  /** Something was answered: Redis is there. Whether it can be written to is another matter. */
  answered(): void {
    if (this.outageIsAbsence) this.succeeded()
  }

  /** A write came through. */
  succeeded(): void {
    if (this.outage === undefined) return
    this.outage = undefined
    if (this.refusal === undefined) this.events.writesRecovered()
  }

  /** Redis was asked for everything that the gateway needs, and did it. */
  probed(): void {
    const failing = this.outage !== undefined || this.refusal !== undefined
    this.outage = undefined
    this.refusal = undefined
    if (failing) this.events.writesRecovered()
  }

  /**
   * A command failed. Returns why nothing can be written now; undefined when the fault is the command's own and
   * sending it again would not help.
   */
  failed(error: unknown): GatewayError | undefined {
    if (isReply(error, 'FENCED') || isReply(error, 'ERR FENCED')) {
      if (this.fenced === undefined) {
        this.fenced = takenOver(error)
        this.onFenced()
      }
      return this.fenced
    }
    this.options.onFailure(error)
    const refusal = error instanceof Error && error.name === 'ReplyError' && this.refused(error.message)
    if (refusal) return refusal
    const outage = this.outageOf(error)
    if (outage === undefined) return undefined
    if (this.outage === undefined) this.events.writeFailed(outage)
    this.outage = outage
    this.outageIsAbsence = isAbsence(error)
    return outage
  }

  /**
   * What Redis, or an operation of a batch, said for a failure. Returns why nothing can be written where Redis refuses to;
   * undefined when the operation itself is at fault.
   */
  refused(failure: string): GatewayError | undefined {
    const refusal = refusalOf(failure, this.options)
    return refusal && this.setRefusal(refusal)
  }

  /** The user lacks these rights: names of commands, `keys`, `channels`. */
  lacks(rights: readonly string[]): void {
    this.setRefusal(missingRights(rights, this.options))
  }

  private outageOf(error: unknown): GatewayError | undefined {
    const { address, faultOfConnection } = this.options
    const fault = isAbsence(error) ? faultOfConnection() : undefined
    if (fault === undefined) return outageOf(error, address)
    const { message, hint } = unreachable(address, fault)
    return new GatewayError('STORE_UNWRITABLE', message, {
      cause: error,
      ...(hint !== undefined && { hint }),
    })
  }

  private setRefusal({ what, hint }: Refusal): GatewayError {
    const message = `Redis (${this.options.address}) ${what}.`
    if (this.refusal?.message === message) return this.refusal
    this.refusal = new GatewayError('STORE_UNWRITABLE', message, { hint })
    this.events.writeFailed(this.refusal)
    return this.refusal
  }

  /** A setting of Redis that has to be mended; everything goes on meanwhile. */
  setFault(description: string | undefined): void {
    if (description === this.fault?.message) return
    this.fault = description === undefined ? undefined : new GatewayError('REDIS_UNSUITABLE', description)
    if (this.fault !== undefined) this.events.risk(this.fault.message)
  }

  /** Resolves when it is time to send again: after a pause, or at once when the link ends. */
  pause(): Promise<void> {
    if (this.ended) return Promise.resolve()
    return new Promise((resolve) => {
      const over = (): void => {
        timer.cancel()
        this.waiting.delete(over)
        resolve()
      }
      const timer = this.clock.schedule(RETRY_MS, over)
      this.waiting.add(over)
    })
  }

  /** Whether `end` was called: nothing is sent again. */
  hasEnded(): boolean {
    return this.ended
  }

  end(): void {
    this.ended = true
    for (const over of this.waiting) over()
  }

  /** Repeats a read until Redis answers; for `seconds` at most, then with the reason why not. */
  async untilAnswered<T>(read: () => Promise<T>, forMs: number): Promise<T> {
    const until = this.clock.now() + forMs
    for (;;) {
      try {
        const result = await read()
        this.answered()
        return result
      } catch (error) {
        const outage = this.failed(error)
        if (outage === undefined || this.ended || this.clock.now() >= until) throw outage ?? error
        await this.pause()
      }
    }
  }
}

class ReplicasMissing extends Error {
  override readonly name = 'ReplicasMissing'
}

export function isReply(error: unknown, code: string): boolean {
  return error instanceof Error && error.name === 'ReplyError' && error.message.startsWith(code)
}

/** Replies that say: not now. With them Redis, or its operator, is asked for something. */
const NOT_NOW: readonly (readonly [code: string, meaning: string])[] = [
  ['LOADING', 'is loading its data'],
  ['BUSY', 'is busy with a script of somebody else'],
  ['CLUSTERDOWN', 'is a Cluster of which a part is missing'],
  ['TRYAGAIN', 'is moving slots'],
  ['MOVED', 'is moving slots'],
  ['ASK', 'is moving slots'],
  ['MASTERDOWN', 'has lost its master'],
  ['NOAUTH', 'wants a password; set `redis.password`'],
  ['WRONGPASS', 'refuses the user or password; check `redis.username` and `redis.password`'],
]

function outageOf(error: unknown, address: string): GatewayError | undefined {
  if (error instanceof ReplicasMissing)
    return unwritable(
      `Redis (${address}) has too few replicas (\`redis.waitReplicas\`): ${error.message}. Bring them back, or wait for fewer.`,
      error,
    )
  const text = error instanceof Error ? error.message : String(error)
  if (isAbsence(error)) return unwritable(`Redis (${address}) is away: ${text}.`, error)
  for (const [code, meaning] of NOT_NOW)
    if (text.startsWith(code) || text.startsWith(`ERR ${code}`))
      return unwritable(`Redis (${address}) ${meaning} (${text}).`, error)
  if (text.includes('non local key')) return unwritable(`Redis (${address}) is moving slots.`, error)
  return undefined
}

function isAbsence(error: unknown): boolean {
  return !(error instanceof ReplicasMissing) && (!(error instanceof Error) || error.name !== 'ReplyError')
}

function takenOver(cause: unknown): GatewayError {
  return new GatewayError(
    'SESSION_TAKEN',
    'Other nodes have taken over what this one had, since it was away for longer than its lease.',
    {
      hint: 'It joins again under a new name by itself. `cluster.leaseSeconds` says how long a node may be away.',
      cause,
    },
  )
}

function unwritable(message: string, cause: unknown): GatewayError {
  return new GatewayError('STORE_UNWRITABLE', message, { cause })
}
