import type { Clock } from '../../contract/clock.js'
import type { StoreEvents } from '../../contract/events.js'
import type { Message } from '../../contract/message.js'
import { DamagedValue } from '../bytes.js'
import { decodeMessage } from '../values.js'
import type { Layout } from './layout.js'
import type { RedisLink } from './link.js'
import type { RetainedTopics } from './retained-topics.js'

/** Messages and payload bytes in a chunk; a larger message comes alone. */
const CHUNK = { messages: 256, bytes: 65_536 }
/** Topics that are sorted by partition before they are fetched; the walk holds up nobody for longer than this. */
const WAVE = 8_192
const PATIENCE_MS = 5_000

interface Parts {
  readonly clock: Clock
  readonly events: StoreEvents
  readonly onExpired: (topic: string) => void
}

/**
 * Retained messages that a filter matches: the topics from memory, the messages from Redis, a chunk at a time and only
 * when it is asked for, so that what is handed out is current. 5,000 small messages are 20 round trips, of as many
 * commands; a scan took 469.
 */
export async function* readRetained(
  link: RedisLink,
  layout: Layout,
  topics: RetainedTopics,
  filter: string,
  parts: Parts,
): AsyncGenerator<readonly Message[]> {
  let wave: Wanted[] = []
  for (const [topic, { size }] of topics.matching(filter)) {
    wave.push({ topic, size, partition: layout.partitionOf(topic) })
    if (wave.length < WAVE) continue
    yield* readWave(link, layout, wave, parts)
    wave = []
  }
  yield* readWave(link, layout, wave, parts)
}

interface Wanted {
  readonly topic: string
  readonly size: number
  readonly partition: number
}

async function* readWave(
  link: RedisLink,
  layout: Layout,
  wave: readonly Wanted[],
  parts: Parts,
): AsyncGenerator<readonly Message[]> {
  // A chunk then asks few partitions, a command each.
  const sorted = layout.partitions === 1 ? wave : wave.toSorted((a, b) => a.partition - b.partition)
  let from = 0
  while (from < sorted.length) {
    let until = from
    for (let bytes = 0; until < sorted.length && until - from < CHUNK.messages; until++) {
      bytes += sorted[until]?.size ?? 0
      if (until > from && bytes > CHUNK.bytes) break
    }
    const fetches = runs(sorted, from, until).map(([partition, names]) =>
      fetchChunk(link, `${layout.base(partition)}retained`, names, parts),
    )
    yield* cut((await Promise.all(fetches)).flat())
    from = until
  }
}

/** The topics of one partition each, in a row. */
function runs(
  wave: readonly Wanted[],
  from: number,
  until: number,
): readonly (readonly [partition: number, topics: string[]])[] {
  const found: (readonly [number, string[]])[] = []
  for (let i = from; i < until; i++) {
    const wanted = wave[i]
    if (wanted === undefined) break
    const last = found.at(-1)
    if (last?.[0] === wanted.partition) last[1].push(wanted.topic)
    else found.push([wanted.partition, [wanted.topic]])
  }
  return found
}

/** Messages may have grown since the chunk was planned. */
function* cut(messages: readonly Message[]): Generator<readonly Message[]> {
  let chunk: Message[] = []
  let bytes = 0
  for (const message of messages) {
    const size = message.payload.length
    if (chunk.length > 0 && bytes + size > CHUNK.bytes) {
      yield chunk
      chunk = []
      bytes = 0
    }
    chunk.push(message)
    bytes += size
  }
  if (chunk.length > 0) yield chunk
}

async function fetchChunk(
  link: RedisLink,
  key: string,
  topics: readonly string[],
  { clock, events, onExpired }: Parts,
): Promise<readonly Message[]> {
  const values = await link.untilAnswered(() => link.command('hmget', key, ...topics), PATIENCE_MS)
  const now = clock.now()
  const messages: Message[] = []
  for (const [i, value] of (values as readonly (Buffer | null)[]).entries()) {
    const topic = topics[i] ?? ''
    if (value === null) continue
    try {
      const message = decodeMessage(value)
      if (message.expired(now)) onExpired(topic)
      else messages.push(message)
    } catch (error) {
      if (!(error instanceof DamagedValue)) throw error
      events.entryDamaged('retained message', `${key} ${topic}`, error)
    }
  }
  return messages
}
