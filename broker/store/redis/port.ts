import type { RedisArgument, RedisCommands, RedisPort, RedisReply } from '../../contract/cluster.js'
import type { RedisClient, RedisConnections } from './connection.js'
import { runScript, script, type Script } from './link.js'
import { refusalOf } from './refusals.js'
import { unreachable } from './suitability.js'

/** The connections of the configuration as the parts between nodes get them. */
export function createRedisPort(connections: RedisConnections, keyPrefix: string): RedisPort {
  return {
    keyPrefix,
    open: (name, { blocking = false } = {}) =>
      new Commands(connections.open(name, { timeout: !blocking }), connections, keyPrefix),
  }
}

class Commands implements RedisCommands {
  private readonly scripts = new Map<string, Script>()

  constructor(
    private readonly client: RedisClient,
    private readonly connections: RedisConnections,
    private readonly keyPrefix: string,
  ) {}

  get connected(): boolean {
    return this.client.status === 'ready'
  }

  ready(): Promise<void> {
    return this.connections.ready(this.client)
  }

  async command(name: string, ...args: readonly RedisArgument[]): Promise<RedisReply> {
    try {
      return (await this.client.callBuffer(name, ...args)) as RedisReply
    } catch (error) {
      throw this.explained(error)
    }
  }

  async script(source: string, key: string, ...args: readonly RedisArgument[]): Promise<RedisReply> {
    let known = this.scripts.get(source)
    if (known === undefined) this.scripts.set(source, (known = script(source)))
    try {
      return await runScript(this.client, known, key, args)
    } catch (error) {
      throw this.explained(error)
    }
  }

  onReady(listener: () => void): void {
    this.client.on('ready', listener)
  }

  close(): void {
    this.connections.end(this.client)
  }

  /** What Redis said, in words that tell an operator what to do. */
  private explained(error: unknown): unknown {
    const { connections, keyPrefix } = this
    const { address, isCluster } = connections
    if (!(error instanceof Error)) return error
    connections.failed(error)
    if (error.name !== 'ReplyError') {
      const fault = connections.faultOf(this.client)
      if (fault === undefined) return error
      const { message, hint = '' } = unreachable(address, fault)
      return new Error(`${message} ${hint}`, { cause: error })
    }
    const refusal = refusalOf(error.message, { keyPrefix, isCluster })
    if (refusal === undefined) return error
    return new Error(`Redis (${address}) ${refusal.what}. ${refusal.hint}`, { cause: error })
  }
}
