import type { RedisArgument, RedisCommands, RedisPort, RedisReply } from '../../contract/cluster.js'
import type { RedisClient, RedisConnections } from './connection.js'
import { runScript, script, type Script } from './link.js'

/** The connections of the configuration as the parts between nodes get them. */
export function createRedisPort(connections: RedisConnections, keyPrefix: string): RedisPort {
  return {
    keyPrefix,
    open: (name, { blocking = false } = {}) =>
      new Commands(connections.open(name, { timeout: !blocking }), connections),
  }
}

class Commands implements RedisCommands {
  private readonly scripts = new Map<string, Script>()

  constructor(
    private readonly client: RedisClient,
    private readonly connections: RedisConnections,
  ) {}

  get connected(): boolean {
    return this.client.status === 'ready'
  }

  ready(): Promise<void> {
    return this.connections.ready(this.client)
  }

  async command(name: string, ...args: readonly RedisArgument[]): Promise<RedisReply> {
    return (await this.client.callBuffer(name, ...args)) as RedisReply
  }

  script(source: string, key: string, ...args: readonly RedisArgument[]): Promise<RedisReply> {
    let known = this.scripts.get(source)
    if (known === undefined) this.scripts.set(source, (known = script(source)))
    return runScript(this.client, known, key, args)
  }

  onReady(listener: () => void): void {
    this.client.on('ready', listener)
  }

  close(): void {
    this.connections.end(this.client)
  }
}
