import type { StoreEvents } from '../../contract/events.js'
import type { StoredWill } from '../../contract/store.js'
import { DamagedValue } from '../bytes.js'
import { decodeWill } from '../values.js'
import type { RedisLink } from './link.js'

const PAGE = 500
const PATIENCE_MS = 10_000

export interface OwnedWill {
  /** The instance that answers for it. */
  readonly owner: string
  readonly clientId: string
  readonly will: StoredWill
}

/** The wills of a partition, once each. */
export async function* readWills(
  link: RedisLink,
  base: string,
  events: StoreEvents,
): AsyncGenerator<OwnedWill> {
  const key = `${base}wills`
  const seen = new Set<string>()
  let cursor = '0'
  do {
    const page = await link.untilAnswered(
      () => link.command('hscan', key, cursor, 'COUNT', PAGE),
      PATIENCE_MS,
    )
    const [next, found] = page as [Buffer, readonly Buffer[]]
    cursor = next.toString()
    for (let i = 0; i + 1 < found.length; i += 2) {
      const clientId = String(found[i])
      const value = found[i + 1]
      if (value === undefined || seen.has(clientId)) continue
      seen.add(clientId)
      const end = value.indexOf(' ')
      try {
        if (end < 0) throw new DamagedValue('no owner')
        yield { owner: value.toString('latin1', 0, end), clientId, will: decodeWill(value.subarray(end + 1)) }
      } catch (error) {
        if (!(error instanceof DamagedValue)) throw error
        events.entryDamaged('will', `${key} ${clientId}`, error)
      }
    }
  } while (cursor !== '0')
}
