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

const opening = (open: () => Promise<{ readonly present: boolean }>) => ({
  formerStays: () => false,
  endFormer: () => Promise.resolve(),
  open,
})
const open = (present = true) =>
  claims.whileClaimed(
    'c',
    false,
    opening(() => Promise.resolve({ present })),
  )

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
  const opened = () => {
    expect(bus.questions).toEqual([{ kind: 'takeover', clientId: 'c', epoch: 1, sessionEnds: true }])
    return Promise.resolve({ present: false })
  }
  await claims.whileClaimed('c', true, opening(opened))
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
  await expect(
    claims.whileClaimed(
      'c',
      false,
      opening(() => Promise.reject(taken)),
    ),
  ).rejects.toBe(taken)
  expect(store.yielded).toEqual([['c', 1]])
})

it('claims before the connection that is here ends, which lets go of its own claim and not of the new one', async () => {
  await open()
  const endFormer = () => claims.letGo('c')
  await claims.whileClaimed('c', false, { ...opening(() => Promise.resolve({ present: true })), endFormer })
  expect(store.yielded).toEqual([['c', 1]])
  await claims.letGo('c')
  expect(store.yielded).toEqual([
    ['c', 1],
    ['c', 2],
  ])
})

it('lets go of the new claim, too, when the connection that is here cannot be ended', async () => {
  await open()
  const endFormer = () => claims.letGo('c').then(() => Promise.reject(new Error('away')))
  const failing = { ...opening(() => Promise.resolve({ present: true })), endFormer }
  await expect(claims.whileClaimed('c', false, failing)).rejects.toThrow('away')
  expect(store.yielded).toEqual([
    ['c', 1],
    ['c', 2],
  ])
})

it('leaves the connection that is here, which has the new claim from then on, unless another node had the client', async () => {
  await open()
  const endFormer = vi.fn(() => Promise.resolve())
  const staying = { formerStays: () => true, endFormer, open: () => Promise.resolve({ present: true }) }
  expect(await claims.whileClaimed('c', false, staying)).toBeUndefined()
  expect(endFormer).not.toHaveBeenCalled()
  store.claimed = { takenFrom: 'b' }
  expect(await claims.whileClaimed('c', false, staying)).toEqual({ present: true })
  expect(endFormer).toHaveBeenCalledOnce()
  await claims.letGo('c')
  expect(store.yielded).toEqual([['c', 3]])
})

it('tells a question about an older connection from one that has been overtaken', async () => {
  await open()
  expect([claims.isOlder('c', 1), claims.isOlder('c', 2)]).toEqual([false, true])
  expect(claims.isOlder('unknown', 9)).toBe(false)
  claims.forgetAll()
  expect(claims.isOlder('c', 2)).toBe(false)
})
