import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { startRedis, type RedisServer } from '../../broker/store/redis/testing.js'
import type { ConfigInput } from '../../config/schema.js'
import { LEASE_SECONDS } from './cluster.js'
import { unique } from './gateway.js'
import { GatewayProcess } from './process.js'
import { RawClient, type ConnectOptions } from './raw-client.js'

export interface ClusterProcessesOptions {
  readonly nodes?: number
  /** Arguments of redis-server. */
  readonly redis?: readonly string[]
  readonly config?: ConfigInput
}

/** Gateways in processes of their own that share a Redis: they can be killed, or paused, one by one. */
export class ClusterProcesses {
  readonly nodes: GatewayProcess[] = []
  readonly keyPrefix = 'e2e'
  private server: RedisServer | undefined
  private readonly clients: RawClient[] = []

  constructor(private readonly options: ClusterProcessesOptions) {}

  /** Starts Redis, and no node. */
  async prepare(): Promise<void> {
    const { nodes = 3, redis, config } = this.options
    this.server = await startRedis(redis)
    const { url } = this.server
    const shared: ConfigInput = {
      store: { type: 'redis' },
      redis: { url, keyPrefix: this.keyPrefix },
      cluster: { leaseSeconds: LEASE_SECONDS },
      sys: { intervalSeconds: 0 },
      ...config,
    }
    const prepared = Array.from({ length: nodes }, () => GatewayProcess.prepare({ config: () => shared }))
    this.nodes.push(...(await Promise.all(prepared)))
  }

  async start(): Promise<void> {
    await this.prepare()
    await Promise.all(this.nodes.map((node) => node.start()))
  }

  get redis(): RedisServer {
    if (this.server === undefined) throw new Error('the cluster does not run')
    return this.server
  }

  node(index: number): GatewayProcess {
    const node = this.nodes[index]
    if (node === undefined) throw new Error(`there is no node ${index}`)
    return node
  }

  async connect(index: number, options: ConnectOptions = {}): Promise<RawClient> {
    const client = await RawClient.connect(this.node(index).ports.mqtt, { clientId: unique('c'), ...options })
    this.clients.push(client)
    return client
  }

  /** Sends a signal to one of the processes. */
  signal(index: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
    const { pid } = this.node(index)
    if (pid !== undefined) process.kill(pid, signal)
  }

  async ready(index: number): Promise<boolean> {
    try {
      return (await this.node(index).admin('/readyz')).status === 200
    } catch {
      return false
    }
  }

  /** The value of a metric without labels; with several samples their sum. */
  async metric(index: number, name: string): Promise<number> {
    const { text } = await this.node(index).admin('/metrics')
    const samples = text
      .split('\n')
      .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    return samples.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
  }

  /** Writes what the processes have printed to a new folder, for whoever looks into a failure; returns its path. */
  async keepOutput(): Promise<string> {
    const folder = await mkdtemp(path.join(tmpdir(), 'openclaw-output-'))
    for (const [i, node] of this.nodes.entries())
      await writeFile(path.join(folder, `node-${i}.log`), node.output)
    return folder
  }

  async stop(): Promise<void> {
    for (const client of this.clients) client.socket.destroy()
    for (const node of this.nodes) {
      if (node.pid !== undefined && node.running) process.kill(node.pid, 'SIGCONT')
      await node.dispose()
    }
    await this.server?.stop()
  }
}

export function useClusterProcesses(options: ClusterProcessesOptions = {}): ClusterProcesses {
  const cluster = new ClusterProcesses(options)
  beforeAll(() => cluster.start())
  afterAll(() => cluster.stop())
  return cluster
}
