import { beforeEach, expect, it, vi } from 'vitest'
import type { Engine } from '../../contract/engine.js'
import type { Target } from '../../contract/router.js'
import { ManualClock } from '../../contract/testing/manual-clock.js'
import { ClientIdLock } from '../client-id-lock.js'
import type { Sessions } from '../sessions.js'
import { deliveryOf, messageOf } from '../testing.js'
import type { Wills } from '../wills.js'
import { Arrivals } from './arrivals.js'
import type { ClientClaims } from './client-claims.js'
import type { FollowedSessions } from './followed-sessions.js'
import { connect, fakeRouter } from './testing.js'

const message = messageOf('x')
const clock = new ManualClock()
const emitHere = vi.fn()
const events = { messageDropped: vi.fn() }
const wills = { isDelayed: vi.fn(() => false), sessionEnded: vi.fn(), discard: vi.fn() }
const claims = { isOlder: vi.fn(() => true) }
const followed = { caughtUp: vi.fn(() => Promise.resolve()) }
const here: Target[] = []
let world: ReturnType<typeof fakeRouter>
let arrivals: Arrivals

beforeEach(() => {
  vi.clearAllMocks()
  world = fakeRouter()
  const router = Object.assign(world.router, {
    routeHere: () => ({ targets: here }),
    shareHere: () => undefined,
  })
  arrivals = new Arrivals({
    router,
    table: world.table,
    clock,
    events: events as never,
    engine: { emitHere } as unknown as Engine,
    sessions: { lock: new ClientIdLock() } as unknown as Sessions,
    wills: wills as unknown as Wills,
    claims: claims as unknown as ClientClaims,
    followed: followed as unknown as FollowedSessions,
    store: undefined as never,
    bus: undefined,
    onDefect: (error) => expect.fail(String(error)),
  })
})

function connected(clientId: string) {
  const client = connect(world.table, clientId)
  const deliver = vi.spyOn(client.session, 'deliver').mockReturnValue()
  const deliveries = { lookAgain: vi.fn() }
  const connection = {
    end: vi.fn(),
    release: vi.fn(() => {
      world.table.leave(client)
      return Promise.resolve()
    }),
  }
  Object.assign(client, { deliveries, connection, stored: {} })
  return { client, deliver, deliveries, connection }
}

const place = (clientId: string, sequence: number) => ({ clientId, sequence, delivery: deliveryOf(1) })
const queued = (...places: ReturnType<typeof place>[]) => ({ all: false, sharedFilters: [], queued: places })

it('gives live copies to the sessions that are open here, and leaves the others to their queues', () => {
  const { deliver } = connected('c')
  world.table.add('offline', [])
  arrivals.message('b', message, queued(place('c', 7), place('offline', 1), place('unknown', 1)))
  expect(deliver).toHaveBeenCalledExactlyOnceWith(message, deliveryOf(1), 7)
})

it('does not trust a live copy that may be of the former session of the client', () => {
  const { client, deliver, deliveries } = connected('c')
  client.session.distrustedUntil = clock.monotonic() + 1_000
  arrivals.message('b', message, queued(place('c', 7)))
  expect(deliver).not.toHaveBeenCalled()
  expect(deliveries.lookAgain).toHaveBeenCalledOnce()
  clock.advance(1_000)
  arrivals.message('b', message, queued(place('c', 8)))
  expect(deliver).toHaveBeenCalledExactlyOnceWith(message, deliveryOf(1), 8)
})

it('emits what is for all to whoever its own router finds, and counts what no member is left for', () => {
  arrivals.message('b', message, { all: true, sharedFilters: ['$share/g/t'], queued: [] })
  expect(emitHere).toHaveBeenCalledExactlyOnceWith(message, here)
  expect(events.messageDropped).toHaveBeenCalledExactlyOnceWith('session_ended', undefined, 1)
})

it('has every open durable session look into its queue when entries are lost', () => {
  const { deliveries } = connected('c')
  arrivals.missed()
  expect(deliveries.lookAgain).toHaveBeenCalledOnce()
})

it('ends a connection that is older than the one elsewhere, and only that [MQTT-3.1.4-3]', async () => {
  const { connection } = connected('c')
  const question = { kind: 'takeover', clientId: 'c', epoch: 2, sessionEnds: false } as const
  claims.isOlder.mockReturnValueOnce(false)
  await arrivals.asked('b', question)
  expect(connection.end).not.toHaveBeenCalled()
  await arrivals.asked('b', question)
  expect(connection.end).toHaveBeenCalledExactlyOnceWith('taken_over', 0x8e)
  expect(connection.release).toHaveBeenCalledOnce()
})

it.each([true, false])(
  'sees to a delayed will when the client is back (its session ends: %s)',
  async (ends) => {
    connected('c')
    wills.isDelayed.mockReturnValueOnce(true)
    await arrivals.asked('b', { kind: 'takeover', clientId: 'c', epoch: 2, sessionEnds: ends })
    expect(wills.sessionEnded).toHaveBeenCalledTimes(ends ? 1 : 0)
    expect(wills.discard).toHaveBeenCalledTimes(ends ? 0 : 1)
  },
)
