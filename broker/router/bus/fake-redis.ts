import type { RedisArgument, RedisCommands, RedisPort, RedisReply } from '../../contract/cluster.js'
import { CREATE_STREAM, RENEW_STREAM, WRITE_INTEREST } from './bus-scripts.js'

interface Stream {
  entries: { id: number; values: readonly Buffer[] }[]
  last: number
}

/** What happens to a command: carried out and answered, lost on its way, or lost on its way back. */
export type Fate = 'answered' | 'lost' | 'unanswered'

/** Whatever a read asks for. */
const BLOCK_MS = 30

/** As much of Redis as the bus uses, in memory. A stream ID is `<n>-0`. */
export class FakeRedis implements RedisPort {
  readonly keyPrefix = 'test'
  readonly streams = new Map<string, Stream>()
  readonly hashes = new Map<string, Map<string, string>>()
  /** How long a stream lives on when nobody renews it, seconds. */
  readonly lifetimes = new Map<string, number>()
  /** Asked of every command; may be replaced by a test. */
  fate: (name: string, args: readonly RedisArgument[]) => Fate = () => 'answered'
  process = 'a'
  private readonly readers = new Set<() => void>()
  private readonly connections = new Set<Set<(error: Error) => void>>()
  private readonly readyListeners = new Set<() => void>()

  open(): RedisCommands {
    let closed = false
    const pending = new Set<(error: Error) => void>()
    this.connections.add(pending)
    const guarded = async (
      name: string,
      args: readonly RedisArgument[],
      run: () => RedisReply | Promise<RedisReply>,
    ): Promise<RedisReply> => {
      if (closed) throw new Error('the connection is closed')
      const fate = this.fate(name, args)
      if (fate === 'lost') throw new Error('the connection was cut')
      return new Promise<RedisReply>((resolve, reject) => {
        pending.add(reject)
        const answer = async (): Promise<RedisReply> => run()
        answer()
          .then((reply) => {
            if (fate === 'unanswered') reject(new Error('the connection was cut'))
            else resolve(reply)
          }, reject)
          .finally(() => pending.delete(reject))
      })
    }
    return {
      connected: true,
      ready: () => Promise.resolve(),
      command: (name, ...args) => guarded(name, args, () => this.run(name, args)),
      script: (source, key, ...args) => guarded('script', args, () => this.script(source, key, args)),
      onReady: (listener) => void this.readyListeners.add(listener),
      close: () => {
        closed = true
        this.connections.delete(pending)
        for (const reject of pending) reject(new Error('the connection is closed'))
      },
    }
  }

  /** Cuts all connections; what is under way is carried out, and nobody hears of it. */
  cut(): void {
    for (const pending of this.connections)
      for (const reject of pending) reject(new Error('the connection was cut'))
  }

  /** Every connection is usable again. */
  reconnect(): void {
    for (const listener of this.readyListeners) listener()
  }

  /** Loses everything, as a restart without persistence does. */
  flush(): void {
    this.streams.clear()
    this.hashes.clear()
  }

  get keys(): string[] {
    return [...this.streams.keys(), ...this.hashes.keys()].sort()
  }

  append(key: string, ...values: readonly Buffer[]): void {
    const stream = this.streams.get(key)
    if (stream === undefined) return
    stream.entries.push({ id: ++stream.last, values })
    for (const wake of [...this.readers]) wake()
  }

  private run(name: string, args: readonly RedisArgument[]): RedisReply | Promise<RedisReply> {
    const key = String(args[0])
    switch (name) {
      case 'xadd': {
        if (!this.streams.has(key)) return null
        this.append(
          key,
          ...args
            .slice(6)
            .filter((_, i) => i % 2 === 1)
            .map((each) => each as Buffer),
        )
        return Buffer.from('1-0')
      }
      case 'xread':
        return this.read(String(args[5]), Number.parseInt(String(args[6])), Number(args[1]))
      case 'xtrim': {
        const stream = this.streams.get(key)
        if (stream === undefined) return 0
        const from = Number.parseInt(String(args[2]))
        stream.entries = stream.entries.filter(({ id }) => id > from)
        return 1
      }
      case 'hget': {
        const value = this.hashes.get(key)?.get(String(args[1]))
        return value === undefined ? null : Buffer.from(value)
      }
      case 'hscan':
        return [Buffer.from('0'), [...(this.hashes.get(key) ?? [])].flat().map((each) => Buffer.from(each))]
      case 'del':
        for (const each of args) {
          this.streams.delete(String(each))
          this.hashes.delete(String(each))
        }
        return 1
      default:
        throw new Error(`the fake knows no ${name}`)
    }
  }

  private script(source: string, key: string, args: readonly RedisArgument[]): RedisReply {
    if (source === CREATE_STREAM) {
      this.streams.set(key, { entries: [], last: 1 })
      this.lifetimes.set(key, Number(args[0]))
      return Buffer.from('1-0')
    }
    if (source === RENEW_STREAM) {
      const stream = this.streams.get(key)
      this.lifetimes.set(key, Number(args[1]))
      if (stream === undefined) return [null, Buffer.from(''), 0, []]
      const unwanted = this.hashes.has(String(args[0])) ? 0 : 1
      return [Buffer.from(`${stream.last}-0`), Buffer.from(this.process), unwanted, []]
    }
    if (source !== WRITE_INTEREST) throw new Error('the fake knows no such script')
    if (!this.streams.has(String(args[0]))) return 0
    if (args[1] === 1) this.hashes.delete(key)
    const hash = this.hashes.get(key) ?? new Map<string, string>()
    this.hashes.set(key, hash)
    for (let i = 3; i < args.length; i += 2) {
      const field = `f${String(args[i])}`
      if (args[i + 1] === 0) hash.delete(field)
      else hash.set(field, String(args[i + 1]))
    }
    if (args[2] !== '') hash.set('version', String(args[2]))
    return 1
  }

  private async read(key: string, after: number, count: number): Promise<RedisReply> {
    const found = (): RedisReply[] =>
      (this.streams.get(key)?.entries ?? [])
        .filter(({ id }) => id > after)
        .slice(0, count)
        .map(({ id, values }) => [Buffer.from(`${id}-0`), values.flatMap((each) => [Buffer.from('e'), each])])
    let entries = found()
    if (entries.length === 0) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          clearTimeout(timer)
          this.readers.delete(wake)
          resolve()
        }
        const timer = setTimeout(wake, BLOCK_MS)
        this.readers.add(wake)
      })
      entries = found()
    }
    if (entries.length === 0) return null
    return [[Buffer.from(key), entries]]
  }
}
