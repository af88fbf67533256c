import type { RedisClient } from './connection.js'
import { formatKey, Layout } from './layout.js'
import { mastersOf } from './suitability.js'

/** What a store in Redis holds. Looking changes nothing, and disturbs no node. */
export interface StoreContents {
  /** Version of the layout and number of partitions; undefined: there is no store under this prefix. */
  readonly format: { readonly version: string; readonly partitions: number } | undefined
  readonly sessions: number
  /** Sessions that a node has open, by its instance. */
  readonly open: Readonly<Record<string, number>>
  readonly queuedMessages: number
  readonly queuedBytes: number
  /** The longest queues, longest first. */
  readonly longest: readonly QueueLength[]
  readonly retainedMessages: number
  readonly retainedBytes: number
  readonly wills: number
  /** Accepts that span partitions and have not been finished. */
  readonly unfinishedAccepts: number
  /** Sessions whose counters cannot be read. */
  readonly damaged: readonly string[]
  readonly keys: number
}

export interface QueueLength {
  readonly clientId: string
  readonly messages: number
  readonly bytes: number
}

const PAGE = 1_000
const LONGEST = 10

export async function inspectStore(client: RedisClient, keyPrefix: string): Promise<StoreContents> {
  const { version, partitions } = await client.hgetall(formatKey(keyPrefix))
  const format =
    version === undefined || partitions === undefined
      ? undefined
      : { version, partitions: Number(partitions) }
  const tally = new Tally()
  const keys = await countKeys(client, keyPrefix, tally)
  if (format !== undefined) {
    const layout = new Layout(keyPrefix, format.partitions)
    for (let i = 0; i < layout.partitions; i++) await lookAt(client, layout.base(i), tally)
  }
  return {
    format,
    ...tally.sums,
    open: Object.fromEntries(tally.open),
    longest: tally.longest,
    damaged: tally.damaged,
    keys,
  }
}

class Tally {
  readonly sums = {
    sessions: 0,
    queuedMessages: 0,
    queuedBytes: 0,
    retainedMessages: 0,
    retainedBytes: 0,
    wills: 0,
    unfinishedAccepts: 0,
  }
  readonly open = new Map<string, number>()
  readonly damaged: string[] = []
  longest: QueueLength[] = []

  queue(clientId: string, counters: string | null): void {
    this.sums.sessions++
    const found = /^\d+ \d+ \d+ (\d+) (\d+) \S*$/.exec(counters ?? '')
    if (found === null) {
      this.damaged.push(clientId)
      return
    }
    const messages = Number(found[1])
    const bytes = Number(found[2])
    this.sums.queuedMessages += messages
    this.sums.queuedBytes += bytes
    if (messages === 0 || messages <= (this.longest[LONGEST - 1]?.messages ?? 0)) return
    this.longest = [...this.longest, { clientId, messages, bytes }]
      .sort((a, b) => b.messages - a.messages)
      .slice(0, LONGEST)
  }
}

async function lookAt(client: RedisClient, base: string, tally: Tally): Promise<void> {
  let cursor = '0'
  do {
    const [next, ids] = await client.sscan(`${base}sessions`, cursor, 'COUNT', PAGE)
    cursor = next
    const counters = ids.length === 0 ? [] : await client.mget(ids.map((id) => `${base}c:${id}`))
    for (const [i, id] of ids.entries()) tally.queue(id, counters[i] ?? null)
  } while (cursor !== '0')
  tally.sums.retainedMessages += await client.hlen(`${base}topics`)
  tally.sums.retainedBytes += Number((await client.hget(`${base}meta`, 'bytes')) ?? 0)
  tally.sums.wills += await client.hlen(`${base}wills`)
}

/** All keys of the store, with a look at those that are named after a node. */
async function countKeys(client: RedisClient, keyPrefix: string, tally: Tally): Promise<number> {
  let count = 0
  for (const master of mastersOf(client)) {
    let cursor = '0'
    do {
      const [next, keys] = await master.scan(cursor, 'MATCH', `${keyPrefix}[:{]*`, 'COUNT', PAGE)
      cursor = next
      count += keys.length
      for (const key of keys) {
        const [, kind, node] = /\}:(open|i):([^:]+)$/.exec(key) ?? []
        if (node === undefined) continue
        if (kind === 'open') tally.open.set(node, (tally.open.get(node) ?? 0) + (await master.scard(key)))
        else tally.sums.unfinishedAccepts += await master.hlen(key)
      }
    } while (cursor !== '0')
  }
  return count
}
