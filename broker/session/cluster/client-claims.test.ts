import { beforeEach, expect, it, vi } from 'vitest'
import { GatewayError } from '../../contract/errors.js'
import type { SessionEvents } from '../../contract/events.js'
import type { Wills } from '../wills.js'
import { ClientClaims } from './client-claims.js'
import { FakeBus, FakeSharedStore } from './testing.js'

const wills = { takeFrom: vi.fn(() => Promise.resolve()) }
const events = { clientTakenOver: vi.fn() }
let store: FakeSharedStore
let bus: FakeBus
let claims: ClientClaims

beforeEach(() => {
  vi.clearAllMocks()
  store = new FakeSharedStore()
  bus = new FakeBus()
  claims = new ClientClaims(
    { store: store.asStore, bus: bus.asBus },
    wills as unknown as Wills,
    events as unknown as SessionEvents,
  )
})

const open = (present = true) => claims.whileClaimed('c', false, () => Promise.resolve({ present }))

it('asks nobody when nobody has the client', async () => {
  await open()
  expect(bus.questions).toEqual([])
  expect(wills.takeFrom).not.toHaveBeenCalled()
  await claims.letGo('c')
  await claims.letGo('c')
  expect(store.yielded).toEqual([['c', 1]])
})

it('has the former node end its connection before the session is opened', async () => {
  store.claimed = { takenFrom: 'b', willOf: 'b' }
  await claims.whileClaimed('c', true, () => {
    expect(bus.questions).toEqual([{ kind: 'takeover', clientId: 'c', epoch: 1, sessionEnds: true }])
    return Promise.resolve({ present: false })
  })
  expect(events.clientTakenOver).toHaveBeenCalledExactlyOnceWith('c', 'b', true)
  // It has seen to the will itself.
  expect(wills.takeFrom).not.toHaveBeenCalled()
})

it('takes the will over from a node that does not answer', async () => {
  store.claimed = { takenFrom: 'b', willOf: 'b' }
  bus.answers = false
  await open()
  expect(wills.takeFrom).toHaveBeenCalledExactlyOnceWith('c', 'b', true)
})

it('takes a delayed will over from a node that the client has left before', async () => {
  store.claimed = { willOf: 'd' }
  await open(false)
  expect(wills.takeFrom).toHaveBeenCalledExactlyOnceWith('c', 'd', false)
})

it('lets go of the client when its session cannot be opened', async () => {
  const taken = new GatewayError('SESSION_TAKEN', 'elsewhere')
  await expect(claims.whileClaimed('c', false, () => Promise.reject(taken))).rejects.toBe(taken)
  expect(store.yielded).toEqual([['c', 1]])
})

it('tells a question about an older connection from one that has been overtaken', async () => {
  await open()
  expect([claims.isOlder('c', 1), claims.isOlder('c', 2)]).toEqual([false, true])
  expect(claims.isOlder('unknown', 9)).toBe(false)
  claims.forgetAll()
  expect(claims.isOlder('c', 2)).toBe(false)
})
