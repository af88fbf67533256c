import { writeSync } from 'node:fs'
import { systemClock } from '../../contract/clock.js'
import { Message } from '../../contract/message.js'
import type { StoreEvents } from '../../contract/events.js'
import type { Recipient, StoredSession } from '../../contract/store.js'
import { LevelStore } from './level-store.js'

/**
 * The process that `kill.test.ts` kills: accepts messages for three sessions, settles and releases what it finds
 * there, and says on stdout what it is about to do and what has been confirmed. Lines are written synchronously,
 * so that whatever was confirmed before the kill has been read by the parent.
 */
const [directory = '', first = '1', seed = '1'] = process.argv.slice(2)
const CLIENTS = ['a', 'b', 'c'] as const
const DELIVERY = { qos: 2, retain: false, identifiers: [], sharedFilter: undefined } as const

let state = Number(seed)
/** Park and Miller's generator: what happens depends on the seed and on the moment of the kill alone. */
const random = (below: number): number => (state = (state * 48_271) % 0x7fff_ffff) % below
const say = (line: string): void => void writeSync(1, `${line}\n`)

const disk = { fails: false }
function failing(now: boolean): void {
  disk.fails = now
  say(now ? 'failed' : 'recovered')
}

const nothing = (): void => {}
const events: StoreEvents = {
  opened: nothing,
  writeFailed: () => failing(true),
  writesRecovered: () => failing(false),
  entryDamaged: (what, key) => say(`damaged ${what} ${key}`),
  risk: nothing,
  queueDropped: nothing,
  messagesExpired: nothing,
  committed: nothing,
}
const limits = {
  queuedMessages: 1_000_000,
  queuedBytes: 1e12,
  whenFull: 'refuse-new',
  retainedMessages: 1_000,
  retainedBytes: 1e9,
} as const

const store = new LevelStore({ directory, sync: false }, limits, events, systemClock)
await store.open()
const sessions: StoredSession[] = []
for (const clientId of CLIENTS)
  sessions.push(await store.openSession(clientId, { cleanStart: false, expiryInterval: 0xffff_ffff }))
say('open')

let number = Number(first)

function acceptOne(): void {
  const mine = number++
  const recipients: Recipient[] = CLIENTS.filter(() => random(3) > 0).map((clientId) => ({
    clientId,
    delivery: DELIVERY,
  }))
  const [session] = sessions
  const packetId = (mine % 65_535) + 1
  const message = new Message({
    topic: `retained/${mine % 10}`,
    payload: Buffer.from(`${mine} ${'x'.repeat(random(300))}`),
    qos: 2,
    retain: true,
    receivedAt: 0,
  })
  const names = recipients.map(({ clientId }) => clientId).join('')
  say(`accepting ${mine} ${names}`)
  const incoming = session && { session, packetId }
  store.accept({ message, recipients, retain: true, incoming }, (error) => {
    if (error === undefined) say(`accepted ${mine}`)
  })
}

async function settleSome(session: StoredSession): Promise<void> {
  const page = { messages: 5, bytes: 1e6 }
  // While the disk fails there is nothing to read.
  const entries = await session.read(session.settledUpTo, page).catch(() => [])
  for (const { sequence, message } of entries) {
    const name = `${session.clientId} ${sequence}`
    if (message !== undefined && random(4) === 0) {
      say(`releasing ${name}`)
      session.release(sequence, (error) => {
        if (error === undefined) say(`released ${name}`)
      })
    } else {
      say(`settling ${name}`)
      session.settle(sequence, (error) => {
        if (error === undefined) say(`settled ${name}`)
      })
    }
  }
}

for (;;) {
  while (disk.fails) await new Promise((resolve) => setTimeout(resolve, 5))
  for (let i = random(8); i >= 0; i--) acceptOne()
  const session = sessions[random(6)]
  if (session !== undefined) void settleSome(session)
  await new Promise((resolve) => setImmediate(resolve))
}
