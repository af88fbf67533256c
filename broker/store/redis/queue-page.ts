import type { Message } from '../../contract/message.js'
import type { QueueEntry, ReadLimit } from '../../contract/store.js'
import { DamagedValue } from '../bytes.js'
import { decodeDelivery, decodeMessage } from '../values.js'
import { RELEASED_DELIVERY } from '../session-queue.js'
import { script, type RedisLink } from './link.js'
import { READ_QUEUE } from './lua/reads.js'

const SCRIPT = script(READ_QUEUE)
/** What one call of the script takes: Lua returns no more than 8,000 values, and Redis is not to be kept for long. */
const PAGE_MESSAGES = 1_000
const PAGE_BYTES = 4_194_304

export interface QueuePage {
  readonly entries: readonly QueueEntry[]
  readonly expired: readonly number[]
  readonly damaged: readonly { readonly sequence: number; readonly error: Error }[]
}

/** Whose queue is read: `born` tells a session from a later one of the same client. */
export interface QueueOwner {
  readonly clientId: string
  readonly born: number
}

/** Reads entries after a sequence, in order, within the limit. */
export async function readQueue(
  link: RedisLink,
  base: string,
  { clientId, born }: QueueOwner,
  afterSequence: number,
  limit: ReadLimit,
  now: number,
): Promise<QueuePage> {
  const entries: QueueEntry[] = []
  const expired: number[] = []
  const damaged: { sequence: number; error: Error }[] = []
  let after = afterSequence
  let bytes = limit.bytes
  const started = limit.startedUpTo ?? 0
  while (entries.length < limit.messages) {
    const messages = Math.min(limit.messages - entries.length, PAGE_MESSAGES)
    const most = Math.min(Math.max(bytes, 0), PAGE_BYTES)
    const reply = await link.run(
      SCRIPT,
      `${base}q:${clientId}`,
      base,
      clientId,
      born,
      after,
      messages,
      most,
      now,
      started,
    )
    const [gone, more, ...found] = reply as [Buffer, number, ...(Buffer | null)[]]
    for (const sequence of String(gone).split(' ')) if (sequence !== '') expired.push(Number(sequence))
    let stopped = false
    for (let i = 0; i + 1 < found.length; i += 2) {
      const member = found[i] ?? EMPTY
      const sequence = Number.parseInt(member.toString('latin1', 0, 20), 10)
      after = Math.max(after, sequence || 0)
      try {
        const entry = decodeEntry(sequence, member, found[i + 1] ?? undefined)
        const size = entry.message?.payload.length ?? 0
        if (entries.length > 0 && size > bytes) {
          stopped = true
          break
        }
        bytes -= size
        entries.push(entry)
      } catch (error) {
        if (!(error instanceof DamagedValue)) throw error
        damaged.push({ sequence, error })
      }
    }
    if (stopped || more === 0 || found.length === 0) break
  }
  return { entries, expired, damaged }
}

function decodeEntry(sequence: number, member: Buffer, body: Buffer | undefined): QueueEntry {
  const head = ENTRY_HEAD.exec(member.toString('latin1', 0, 160))
  if (head === null) throw new DamagedValue('no entry')
  if (head[1] === '-') return { sequence, delivery: RELEASED_DELIVERY, message: undefined }
  if (body === undefined) throw new DamagedValue('its body is missing')
  const message: Message = decodeMessage(body)
  return { sequence, delivery: decodeDelivery(member.subarray(head[0].length)), message }
}

/** Sequence, payload bytes, expiry, body; behind it the delivery. */
const ENTRY_HEAD = /^\d+ \d+ \S+ (\S+) /
const EMPTY = Buffer.alloc(0)
