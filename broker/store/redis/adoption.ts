import type { StoreEvents } from '../../contract/events.js'
import type { Adopted, StoredWill } from '../../contract/store.js'
import type { Layout } from './layout.js'
import type { RedisLink } from './link.js'
import { operations } from './operations.js'
import { finishIntent } from './spanning-accept.js'
import { readWills } from './wills.js'
import type { WriteLine } from './write-line.js'

export interface AdoptionParts {
  readonly writes: WriteLine
  readonly link: RedisLink
  readonly layout: Layout
  readonly events: StoreEvents
  /** The node that takes over. */
  readonly instance: string
}

/** Who knows of the other nodes. */
export interface Nodes {
  /** Something in Redis is marked with that name: where nobody knows it, it is to be taken over from. */
  suspect(instance: string): Promise<void>
}

type OwnWill = readonly [clientId: string, will: StoredWill]

/** Takes over from a node: its writes are refused first, so that what is found is what there is. */
export async function adopt(parts: AdoptionParts, gone: string): Promise<Adopted> {
  const { writes, layout } = parts
  await writes.everywhere(operations.fence(gone))
  for (const intents of await writes.everywhere(operations.takeIntents(gone)))
    for (const intent of intents as readonly Buffer[]) await finishIntent(writes, intent)
  // Everything that may fail comes before the first will that changes hands: who took one has to hear of it.
  const left = await willsOf(parts, gone)
  const sessions: string[] = []
  for (let index = 0; index < layout.partitions; index++) {
    sessions.push(...(await takeSessions(writes, index, gone)))
    while (await writes.ofPartition(index, operations.freeClaims(gone)));
  }
  const taken = await Promise.all(left.map(([clientId]) => takeWill(writes, gone, clientId)))
  return { sessions, wills: left.filter((_, i) => taken[i] !== undefined) }
}

async function willsOf({ link, layout, events }: AdoptionParts, node: string): Promise<readonly OwnWill[]> {
  const found: OwnWill[] = []
  for (let index = 0; index < layout.partitions; index++)
    for await (const { owner, clientId, will } of readWills(link, layout.base(index), events))
      if (owner === node) found.push([clientId, will])
  return found
}

/**
 * The wills of this node, and those of nodes that are no more. `others`: who is asked about the rest, where there is
 * somebody; without it this node is the only one, and they become its own.
 */
export async function* leftWills(
  { writes, link, layout, events, instance }: AdoptionParts,
  others: Nodes | undefined,
): AsyncGenerator<OwnWill> {
  const named = new Set<string>()
  for (let index = 0; index < layout.partitions; index++)
    for await (const { owner, clientId, will } of readWills(link, layout.base(index), events)) {
      if (owner !== instance && others !== undefined) {
        if (!named.has(owner)) await others.suspect(owner)
        named.add(owner)
      } else if (owner === instance || (await takeWill(writes, owner, clientId)) !== undefined)
        yield [clientId, will]
    }
}

async function takeSessions(writes: WriteLine, index: number, gone: string): Promise<readonly string[]> {
  const taken: string[] = []
  for (;;) {
    const result = await writes.ofPartition(index, operations.takeSessions(gone))
    const [more, ids] = result as readonly [boolean, readonly Buffer[]]
    taken.push(...ids.map(String))
    if (!more) return taken
  }
}

/** The encoded will; undefined: another node has been quicker, or it has been published. */
export async function takeWill(
  writes: WriteLine,
  from: string,
  clientId: string,
): Promise<Buffer | undefined> {
  const taken = await writes.ofClient(clientId, operations.takeWill(from, clientId))
  return Buffer.isBuffer(taken) ? taken : undefined
}
