import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisServer } from '../../broker/store/redis/testing.js'
import type { RedisTimes, WatchedNode } from './watched-node.js'

export type Disturbance = 'kill' | 'pause' | 'drain' | 'redis killed' | 'redis paused' | 'connections cut'

/** Longest wait for the moment to kill, milliseconds: perhaps nothing is acknowledged just now. */
const MOMENT_MS = 500

/** How often each comes, of 100. */
const SHARES: readonly (readonly [Disturbance, number])[] = [
  ['kill', 30],
  ['pause', 20],
  ['drain', 12],
  ['redis killed', 13],
  ['redis paused', 5],
  ['connections cut', 20],
]

/** Redis, which is killed and started again with what it has on disk. */
export class WatchedRedis implements RedisTimes {
  private lastAway = -Infinity
  private back: Promise<void> = Promise.resolve()

  constructor(readonly server: RedisServer) {}

  present(): Promise<void> {
    return this.back
  }

  awaySince(time: number): boolean {
    return this.lastAway >= time
  }

  async kill(awayMs: number): Promise<void> {
    this.back = this.restart(awayMs)
    await this.back
  }

  /** SIGSTOP, and SIGCONT behind that time: sockets stay, and nothing is answered. */
  async pause(ms: number): Promise<void> {
    this.lastAway = Infinity
    this.server.pause()
    await sleep(ms)
    this.server.resume()
    this.lastAway = performance.now()
  }

  /** Cuts connections of the nodes, all with one of the names that they have; returns the name. */
  async cut(keyPrefix: string, random: () => number): Promise<string> {
    await this.present()
    // Behind a restart the connection of this test may still be on its way back.
    while (this.server.client.status !== 'ready') await sleep(10)
    const list = String(await this.server.client.call('client', 'list'))
    const named = [...list.matchAll(/^id=(\d+) .*?\bname=(\S+)/gm)].map(([, id, name]) => ({ id, name }))
    const ours = named.filter(({ name }) => name?.startsWith(`${keyPrefix}:`) === true)
    const names = [...new Set(ours.map(({ name }) => name))].sort()
    const name = names[Math.floor(random() * names.length)] ?? ''
    for (const { id } of ours.filter((one) => one.name === name && random() < 0.7))
      await this.server.client.call('client', 'kill', 'id', String(id))
    return name
  }

  private async restart(awayMs: number): Promise<void> {
    this.lastAway = Infinity
    await this.server.kill()
    await sleep(awayMs)
    await this.server.start()
    this.lastAway = performance.now()
  }
}

export interface DisturbancesOptions {
  readonly nodes: readonly WatchedNode[]
  readonly redis: WatchedRedis
  readonly keyPrefix: string
  readonly leaseMs: number
  /** Resolves when something is acknowledged: what was said too early shows best when its node ends just then. */
  readonly moment: () => Promise<void>
  readonly random: () => number
}

/** What goes wrong, by chance, several things at a time. Each node recovers before it is disturbed again. */
export class Disturbances {
  readonly counts = new Map<Disturbance, number>()
  /** What happened when, for whoever looks into a failure. */
  readonly timeline: string[] = []
  private readonly underWay = new Map<WatchedNode | WatchedRedis, Promise<void>>()
  private readonly begin = performance.now()

  constructor(private readonly options: DisturbancesOptions) {}

  /** Begins one, unless what it would disturb has not recovered yet. */
  next(): void {
    const { nodes, redis, leaseMs, moment, random } = this.options
    const kind = this.choose()
    // Decided at once, so that the order of what happens meanwhile changes nothing.
    const [where, howLong] = [random(), random()]
    const node = nodes[Math.floor(where * nodes.length)] as WatchedNode
    switch (kind) {
      case 'kill': {
        this.disturb(kind, node, node.name, async () => {
          if (howLong < 0.5) await Promise.race([moment(), sleep(MOMENT_MS)])
          await node.kill()
          await sleep(howLong * 2.5 * leaseMs)
          await node.start()
        })
        return
      }
      case 'pause': {
        this.disturb(kind, node, node.name, async () => {
          // One in three ends before the lease does.
          await node.pause((0.5 + howLong * 2.5) * leaseMs)
          await node.settled()
        })
        return
      }
      case 'drain': {
        this.disturb(kind, node, node.name, async () => {
          await node.drain()
          await node.start()
        })
        return
      }
      case 'redis killed': {
        this.disturb(kind, redis, 'redis', async () => {
          if (where < 0.5) await Promise.race([moment(), sleep(MOMENT_MS)])
          await redis.kill(howLong * 2 * leaseMs)
        })
        return
      }
      case 'redis paused': {
        this.disturb(kind, redis, 'redis', () => redis.pause(howLong * 3 * leaseMs))
        return
      }
      case 'connections cut': {
        this.disturb(kind, redis, 'redis', async () => {
          this.note(`${await redis.cut(this.options.keyPrefix, random)} cut`)
        })
        return
      }
    }
  }

  /** Resolves when everything that was disturbed has recovered. */
  async over(): Promise<void> {
    await Promise.all(this.underWay.values())
    for (const node of this.options.nodes) await node.settled()
  }

  private disturb(
    kind: Disturbance,
    what: WatchedNode | WatchedRedis,
    name: string,
    run: () => Promise<void>,
  ): void {
    if (this.underWay.has(what)) return
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1)
    this.note(`${name}: ${kind}`)
    const running = run().finally(() => {
      this.underWay.delete(what)
      this.note(`${name}: over`)
    })
    this.underWay.set(what, running)
  }

  private choose(): Disturbance {
    let left = this.options.random() * 100
    for (const [kind, share] of SHARES) if ((left -= share) < 0) return kind
    return 'connections cut'
  }

  private note(text: string): void {
    this.timeline.push(`${((performance.now() - this.begin) / 1000).toFixed(2)} s ${text}`)
  }
}
