import type { Clock, Timer } from '../../../broker/contract/clock.js'
import type { BridgeRecord } from '../../../broker/contract/connector.js'
import type { OutboundMessage } from '../../../broker/contract/port.js'
import type { TopicTemplate } from '../../mqtt/topic-template.js'

export interface HistoryOptions {
  readonly topic: TopicTemplate
  /** Points of one history. */
  readonly points: number
  /** Largest payload; the oldest points give way. */
  readonly maxBytes: number
  /** Histories; the one that was silent longest gives way. */
  readonly maxTopics: number
}

/** The broker as a history needs it. */
export interface HistoryBroker {
  publish(messages: readonly OutboundMessage[]): Promise<void>
  /** Payload of a retained message; undefined when there is none, or no way to know. */
  recall(topic: string): Promise<Uint8Array | undefined>
}

/** Between two publishes of one history. */
const EVERY_MS = 1_000

/**
 * The last messages of each topic in one retained message, so that a chart which opens late is full at once.
 * Best effort: when a publish fails, the next one has all of it. A history that a former process has left goes on.
 */
export class History {
  /** In order of last use. */
  private readonly tracks = new Map<string, Track>()
  private readonly changed = new Map<string, Track>()
  private timer: Timer | undefined
  private publishing: Promise<void> | undefined

  constructor(
    private readonly options: HistoryOptions,
    private readonly clock: Clock,
    private readonly broker: HistoryBroker,
  ) {}

  /** Takes in a record that has been published. */
  add(record: BridgeRecord): void {
    const topic = this.options.topic.render(record.captures)
    const track = this.tracks.get(topic) ?? new Track()
    this.tracks.delete(topic)
    this.tracks.set(topic, track)
    track.add(textOf(record.payload), this.options)
    this.changed.set(topic, track)
    for (const [oldest] of this.tracks) {
      if (this.tracks.size <= this.options.maxTopics) break
      this.tracks.delete(oldest)
      this.changed.delete(oldest)
    }
    this.schedule()
  }

  /** Publishes what has changed, then lets go. */
  async close(): Promise<void> {
    await this.publishing
    this.timer?.cancel()
    this.timer = undefined
    this.publishChanged()
    await this.publishing
  }

  private schedule(): void {
    this.timer ??= this.clock.schedule(EVERY_MS, () => {
      this.timer = undefined
      // While the broker is away one publish waits, and the changes gather behind it.
      if (this.publishing === undefined) this.publishChanged()
      else this.schedule()
    })
  }

  private publishChanged(): void {
    if (this.changed.size === 0) return
    const changed = [...this.changed]
    this.changed.clear()
    this.publishing = this.publishAll(changed)
      .catch(() => undefined)
      .finally(() => (this.publishing = undefined))
  }

  private async publishAll(tracks: readonly (readonly [string, Track])[]): Promise<void> {
    for (let i = 0; i < tracks.length; i += TOGETHER) {
      const some = tracks.slice(i, i + TOGETHER)
      await Promise.all(some.map(([topic, track]) => this.recall(topic, track)))
      await this.broker.publish(
        some.map(([topic, track]) => ({ topic, payload: Buffer.from(track.text()), qos: 0, retain: true })),
      )
    }
  }

  /** Before its first publish would replace what a former process has left. */
  private async recall(topic: string, track: Track): Promise<void> {
    if (track.recalled) return
    const payload = await this.broker.recall(topic)
    track.recalled = true
    if (payload !== undefined) track.goOnFrom(pointsOf(payload), this.options)
  }
}

/** Histories that are recalled and published at a time. */
const TOGETHER = 64

/** The points of one history, encoded once each. */
class Track {
  recalled = false
  private points: string[] = []
  private bytes = 0

  add(point: string, { points, maxBytes }: HistoryOptions): void {
    this.points.push(point)
    this.bytes += sizeOf(point)
    while (this.points.length > points || (this.bytes + FRAME_BYTES > maxBytes && this.points.length > 0))
      this.bytes -= sizeOf(this.points.shift() ?? '')
  }

  goOnFrom(earlier: readonly string[], options: HistoryOptions): void {
    const later = this.points
    this.points = []
    this.bytes = 0
    for (const point of [...earlier, ...later]) this.add(point, options)
  }

  text(): string {
    return `{"points":[${this.points.join(',')}]}`
  }
}

const FRAME_BYTES = Buffer.byteLength('{"points":[]}')

function sizeOf(point: string): number {
  return Buffer.byteLength(point) + 1
}

function textOf(payload: Uint8Array): string {
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8')
}

/** Points of a history message; anybody may have published it, so anything may be in it. */
function pointsOf(payload: Uint8Array): readonly string[] {
  try {
    const value = JSON.parse(textOf(payload)) as { readonly points?: unknown } | null
    return Array.isArray(value?.points) ? value.points.map((point) => JSON.stringify(point)) : []
  } catch {
    return []
  }
}
