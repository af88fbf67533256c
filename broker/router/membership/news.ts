import type { Clock } from '../../contract/clock.js'
import type { RedisCommands, RedisPort, RedisReply } from '../../contract/cluster.js'

/** Longest wait of one read, and pause behind one that failed, milliseconds. */
const BLOCK_MS = 30_000
const PAUSE_MS = 200

/**
 * Hears at once when a node comes or goes; the next beat says who. News that are lost with a connection cost the time
 * until the next beat and nothing else.
 */
export class News {
  private readonly redis: RedisCommands
  private ended = false
  private endPause: () => void = () => {}
  private reading: Promise<void> = Promise.resolve()

  constructor(
    port: RedisPort,
    private readonly key: string,
    private readonly clock: Clock,
    private readonly onNews: () => void,
  ) {
    this.redis = port.open('membership-news', { blocking: true })
    this.redis.onReady(() => this.endPause())
  }

  start(): void {
    this.reading = this.read()
  }

  async stop(): Promise<void> {
    this.ended = true
    this.redis.close()
    this.endPause()
    await this.reading
  }

  private async read(): Promise<void> {
    // From the beginning, so that nothing is missed between the first beat and here; told once for all of it.
    let last = '0'
    while (!this.ended) {
      try {
        const reply = await this.redis.command('xread', 'BLOCK', BLOCK_MS, 'STREAMS', this.key, last)
        const id = lastIdOf(reply)
        if (id === undefined) continue
        last = id
        this.onNews()
      } catch {
        // Redis is away; whoever beats says so.
        last = '0'
        await this.pause()
      }
    }
  }

  private pause(): Promise<void> {
    if (this.ended) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = this.clock.schedule(PAUSE_MS, resolve)
      this.endPause = () => {
        timer.cancel()
        resolve()
      }
    })
  }
}

/** Of a reply to XREAD on one stream: `[[key, [[id, fields], ...]]]`. */
function lastIdOf(reply: RedisReply): string | undefined {
  const [stream] = arrayOf(reply)
  const entries = arrayOf(arrayOf(stream)[1])
  const id = arrayOf(entries.at(-1))[0]
  return id === undefined ? undefined : String(id)
}

function arrayOf(reply: RedisReply | undefined): readonly RedisReply[] {
  return Array.isArray(reply) ? (reply as readonly RedisReply[]) : []
}
