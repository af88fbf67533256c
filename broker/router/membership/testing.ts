import type { Adopted, SharedStore } from '../../contract/store.js'
import type { MembershipEvents } from '../../contract/events.js'
import type { RedisCommands, RedisPort } from '../../contract/cluster.js'
import { ManualClock } from '../../contract/testing/manual-clock.js'
import { ClusterMembership } from './cluster-membership.js'

/** The time of Redis, where a test moves it: the scripts get it in place of `TIME`. */
export class RedisTime {
  ms = Date.UTC(2026, 0, 1)
}

/** A node's connections with a time that a test moves, and that a test can cut or hold. */
export class HeldPort implements RedisPort {
  /** Commands under way, blocking ones aside. */
  underWay = 0
  /** As with a process that is stopped: nothing goes out until `release`. */
  private held: Promise<void> | undefined
  release: () => void = () => {}
  isCut = false

  constructor(
    private readonly port: RedisPort,
    private readonly time: RedisTime,
  ) {}

  get keyPrefix(): string {
    return this.port.keyPrefix
  }

  hold(): void {
    this.held = new Promise((resolve) => {
      this.release = () => {
        this.held = undefined
        resolve()
      }
    })
  }

  open(name: string, options?: { readonly blocking?: boolean }): RedisCommands {
    const commands = this.port.open(name, options)
    const script: RedisCommands['script'] = async (source, key, ...args) => {
      if (this.isCut) throw new Error('cut off')
      const isHeld = this.held !== undefined
      await this.held
      this.underWay++
      try {
        const seconds = Math.floor(this.time.ms / 1_000)
        const time = `{ '${seconds}', '${(this.time.ms % 1_000) * 1_000}' }`
        return await commands.script(source.replace("redis.call('TIME')", time), key, ...args)
      } finally {
        this.underWay--
        if (isHeld) await new Promise(setImmediate)
      }
    }
    return {
      get connected() {
        return commands.connected
      },
      ready: () => commands.ready(),
      command: (command, ...args) => commands.command(command, ...args),
      script,
      onReady: (listener) => commands.onReady(listener),
      close: () => commands.close(),
    }
  }
}

/** What the membership sees of a store; `adopt` is answered by the test. */
class FakeStore implements Pick<SharedStore, 'instance' | 'adopt' | 'rejoin' | 'onFenced'> {
  private names = 1
  fenced: () => void = () => {}
  adopting: (gone: string) => Promise<Adopted> = () => Promise.resolve({ sessions: [], wills: [] })
  rejoining: () => Promise<void> = () => Promise.resolve()

  constructor(private readonly label: string) {}

  get instance(): string {
    return `${this.label}${this.names}`
  }

  onFenced(listener: () => void): void {
    this.fenced = listener
  }

  adopt(gone: string): Promise<Adopted> {
    return this.adopting(gone)
  }

  async rejoin(): Promise<void> {
    await this.rejoining()
    this.names++
  }
}

export const LEASE_MS = 3_000

/** A node with a clock of its own; everything it hears is a line. */
export class TestNode {
  readonly lines: string[] = []
  readonly clock = new ManualClock()
  readonly store: FakeStore
  readonly port: HeldPort
  readonly membership: ClusterMembership

  constructor(label: string, port: RedisPort, time: RedisTime) {
    this.store = new FakeStore(label)
    this.port = new HeldPort(port, time)
    const note = (text: string): void => void this.lines.push(text)
    const events: MembershipEvents = {
      joined: (self) => note(`in as ${self}`),
      nodeJoined: (node) => note(`+${node}`),
      nodeLeft: (node) => note(`-${node}`),
      adopted: (node) => note(`adopted ${node}`),
      adoptionFailed: (node) => note(`adoption of ${node} failed`),
      expelled: (self) => note(`expelled ${self}`),
      rejoinFailed: () => note('rejoin failed'),
      leaseNotRenewed: () => note('no beat'),
      leaseRenewed: () => note('beat again'),
      leaseDamaged: (key) => note(`damaged ${key}`),
      watcherFailed: () => note('watcher failed'),
    }
    const { store, clock } = this
    this.membership = new ClusterMembership({ store, redis: this.port, leaseMs: LEASE_MS, clock, events })
  }
}
