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

type OwnWill = readonly [clientId: string, will: StoredWill]

/** Wills that change hands in one batch of writes. */
const WILLS_AT_ONCE = 500

/** Takes over from a node: its writes are refused first, so that what is found is what there is. */
export async function adopt(parts: AdoptionParts, gone: string): Promise<Adopted> {
  const { writes, link, layout, events } = parts
  await writes.everywhere(operations.fence(gone))
  for (const intents of await writes.everywhere(operations.takeIntents(gone)))
    for (const intent of intents as readonly Buffer[]) await finishIntent(writes, intent)
  const sessions: string[] = []
  const wills: OwnWill[] = []
  for (let index = 0; index < layout.partitions; index++) {
    sessions.push(...(await takeSessions(writes, index, gone)))
    while (await writes.ofPartition(index, operations.freeClaims(gone)));
    let found: OwnWill[] = []
    const take = async (): Promise<void> => {
      const taken = await Promise.all(found.map(([clientId]) => takeWill(writes, gone, clientId)))
      wills.push(...found.filter((_, i) => taken[i] !== undefined))
      found = []
    }
    for await (const { owner, clientId, will } of readWills(link, layout.base(index), events)) {
      if (owner === gone) found.push([clientId, will])
      if (found.length === WILLS_AT_ONCE) await take()
    }
    await take()
  }
  return { sessions, wills }
}

/** The wills of this node, and those that nodes which are not among the living have left behind: they become its own. */
export async function* leftWills(
  { writes, link, layout, events, instance }: AdoptionParts,
  living: ReadonlySet<string>,
): AsyncGenerator<OwnWill> {
  for (let index = 0; index < layout.partitions; index++)
    for await (const { owner, clientId, will } of readWills(link, layout.base(index), events)) {
      if (owner !== instance && living.has(owner)) continue
      if (owner === instance || (await takeWill(writes, owner, clientId)) !== undefined)
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
