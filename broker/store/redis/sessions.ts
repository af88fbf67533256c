import type { SessionRecord } from '../../contract/store.js'
import type { StoreEvents } from '../../contract/events.js'
import type { Subscription } from '../../contract/subscription.js'
import { DamagedValue } from '../bytes.js'
import { decodeSubscription } from '../values.js'
import type { Layout } from './layout.js'
import { script, type RedisLink } from './link.js'
import { textOf, unpack, type Unpacked } from './message-pack.js'
import { READ_SESSIONS } from './lua/reads.js'

const SCRIPT = script(READ_SESSIONS)
/** Sessions of a page: about 5 ms of Redis. */
const PAGE = 1_000
/** Partitions that are read side by side. */
const PARALLEL = 8
const PATIENCE_MS = 10_000

interface Page {
  readonly partition: number
  readonly cursor: string
  readonly found: readonly (readonly [
    id: Buffer,
    expiresAt: Buffer | false,
    fields: readonly Buffer[] | Buffer,
    counters: Buffer | false,
  ])[]
}

/** Every session of every partition, once each. While one page is looked through the next ones are on their way. */
export async function* readSessions(
  link: RedisLink,
  layout: Layout,
  events: StoreEvents,
): AsyncGenerator<SessionRecord> {
  const read = async (partition: number, cursor: string): Promise<Page> => {
    const base = layout.base(partition)
    const reply = await link.untilAnswered(
      () => link.run(SCRIPT, `${base}sessions`, base, cursor, PAGE),
      PATIENCE_MS,
    )
    const [next, found] = unpack(reply as Buffer) as unknown as [Buffer, Page['found']]
    return { partition, cursor: next.toString(), found }
  }
  let unread = 0
  const underWay = new Map<number, Promise<Page>>()
  const begin = (): void => {
    if (unread < layout.partitions) underWay.set(unread, read(unread++, '0'))
  }
  for (let i = 0; i < PARALLEL; i++) begin()
  // A scan may come across an element twice while the set is resized.
  const seen = new Map<number, Set<string>>()
  while (underWay.size > 0) {
    const page = await Promise.race(underWay.values())
    if (page.cursor === '0') {
      underWay.delete(page.partition)
      begin()
    } else underWay.set(page.partition, read(page.partition, page.cursor))
    const known = seen.get(page.partition) ?? new Set()
    seen.set(page.partition, known)
    for (const [id, expiresAt, fields, counters] of page.found) {
      const clientId = id.toString()
      if (known.has(clientId)) continue
      known.add(clientId)
      const record = recordOf(clientId, expiresAt, fields, counters, layout, events)
      if (record !== undefined) yield record
    }
    if (page.cursor === '0') seen.delete(page.partition)
  }
}

function recordOf(
  clientId: string,
  expiresAt: Buffer | false,
  fields: readonly Buffer[] | Buffer,
  counters: Buffer | false,
  layout: Layout,
  events: StoreEvents,
): SessionRecord | undefined {
  const key = `${layout.base(layout.partitionOf(clientId))}s:${clientId}`
  if (Buffer.isBuffer(fields)) {
    events.entryDamaged('session', key, new DamagedValue(fields.toString()))
    return undefined
  }
  const { interval, subscriptions } = readFields(fields, key, events)
  // Discarded between the two looks of the script at the partition.
  if (fields.length === 0) return undefined
  if (interval === undefined) {
    events.entryDamaged('session', key, new DamagedValue('its expiry interval cannot be read'))
    return undefined
  }
  return {
    clientId,
    subscriptions,
    expiryInterval: interval,
    expiresAt: expiresAt === false ? undefined : Number(expiresAt.toString()),
    // Behind the numbers, see `lua/queues.ts`.
    openOn: counters === false ? undefined : /^(?:\d+ ){5}(\S+)$/.exec(counters.toString())?.[1],
  }
}

/** The fields of a session that a node needs: its subscriptions, QoS 2 identifiers and interval. */
export function readFields(
  fields: readonly Unpacked[],
  key: string,
  events: StoreEvents,
): {
  readonly subscriptions: readonly Subscription[]
  readonly incoming: readonly number[]
  readonly interval: number | undefined
} {
  const subscriptions: Subscription[] = []
  const incoming: number[] = []
  let interval: number | undefined
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = textOf(fields[i])
    const value = fields[i + 1]
    if (name.startsWith('s:')) {
      try {
        subscriptions.push(decodeSubscription(value as Buffer))
      } catch (error) {
        if (!(error instanceof DamagedValue)) throw error
        events.entryDamaged('subscription', `${key} ${name}`, error)
      }
    } else if (name.startsWith('p:')) incoming.push(Number(name.slice(2)))
    else if (name === 'interval') interval = numberOf(textOf(value))
  }
  return { subscriptions, incoming, interval }
}

function numberOf(text: string): number | undefined {
  return /^\d+$/.test(text) ? Number(text) : undefined
}
