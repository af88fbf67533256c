import { beforeEach, expect, it, vi } from 'vitest'
import type { Membership } from '../../contract/cluster.js'
import { GatewayError } from '../../contract/errors.js'
import { ManualClock } from '../../contract/testing/manual-clock.js'
import type { Wills } from '../wills.js'
import { FollowedSessions } from './followed-sessions.js'
import { connect, fakeRouter, FakeSharedStore, subscriptionOf } from './testing.js'

const wills = { isDelayed: vi.fn(() => false), sessionEnded: vi.fn(() => Promise.resolve()) }
const endConnection = vi.fn()
const onDefect = vi.fn()
let store: FakeSharedStore
let followed: FollowedSessions
let clock: ManualClock
let others: Set<string>
let world: ReturnType<typeof fakeRouter>

beforeEach(() => {
  vi.clearAllMocks()
  store = new FakeSharedStore()
  others = new Set(['b'])
  world = fakeRouter()
  clock = new ManualClock()
  followed = new FollowedSessions(
    { store: store.asStore, membership: { self: 'a', others } as unknown as Membership },
    world.table,
    wills as unknown as Wills,
    endConnection,
    clock,
    onDefect,
  )
})

const record = (clientId: string, filters: readonly string[], openOn?: string) => ({
  clientId,
  subscriptions: filters.map((filter) => subscriptionOf(filter)),
  expiryInterval: 60,
  expiresAt: undefined,
  openOn,
})

const subscribed = (clientId: string, filter: string, share?: string) =>
  ({ kind: 'subscribed', clientId, subscriptions: [subscriptionOf(filter, share)], node: 'b' }) as const

it('knows the sessions that there are, and what others change from then on', async () => {
  store.records = [record('c', ['x', 'y']), record('d', ['z'])]
  await followed.start()
  expect(world.known()).toEqual({ c: ['x', 'y'], d: ['z'] })
  store.listener?.changed(subscribed('e', 't', 'g'))
  store.listener?.changed({ kind: 'unsubscribed', clientId: 'c', filters: ['x', 'never'] })
  store.listener?.changed({ kind: 'ended', clientId: 'd' })
  store.listener?.changed({ kind: 'ended', clientId: 'unknown' })
  expect(world.known()).toEqual({ c: ['y'], e: ['$share/g/t'] })
})

it('applies what changes while it reads to what it has read', async () => {
  store.records = [record('c', ['x'])]
  let open = (): void => {}
  store.gate = new Promise((resolve) => (open = resolve))
  const started = followed.start()
  await vi.waitFor(() => expect(store.listener).toBeDefined())
  store.listener?.changed(subscribed('c', 'y'))
  store.listener?.changed({ kind: 'unsubscribed', clientId: 'c', filters: ['x'] })
  open()
  await started
  expect(world.known()).toEqual({ c: ['y'] })
})

it('reads all sessions again when changes were missed, and forgets those that are no more', async () => {
  store.records = [record('c', ['x']), record('d', ['y'])]
  await followed.start()
  store.records = [record('c', ['x', 'z'])]
  store.listener?.missed()
  await followed.caughtUp()
  expect(world.known()).toEqual({ c: ['x', 'z'] })
  expect(onDefect).not.toHaveBeenCalled()
})

it('knows which members of share groups are online, until their node is no more', async () => {
  store.records = [record('c', ['x'], 'b'), record('d', ['x'], 'dead')]
  await followed.start()
  const online = (): boolean[] => ['c', 'd', 'e'].map((id) => world.table.find(id)?.online === true)
  store.listener?.changed(subscribed('e', 'x', 'g'))
  expect(online()).toEqual([true, false, true])
  store.listener?.changed({ kind: 'closed', clientId: 'e' })
  store.listener?.changed({ kind: 'opened', clientId: 'd', node: 'b' })
  expect(online()).toEqual([true, true, false])
  followed.nodeLeft('b')
  // Told late, of a node that has gone.
  store.listener?.changed({ kind: 'opened', clientId: 'e', node: 'b' })
  expect(online()).toEqual([false, false, false])
})

it('ends a connection whose session somebody else has by now', async () => {
  await followed.start()
  const { session } = connect(world.table, 'c')
  store.listener?.changed(subscribed('c', 'x'))
  expect(endConnection).toHaveBeenCalledExactlyOnceWith('c')
  expect(world.table.find('c')).toBe(session)
  expect(world.known()).toEqual({ c: ['x'] })
})

it('has a delayed will published with the end of its session [MQTT-3.1.2-8]', async () => {
  store.records = [record('c', ['x'])]
  await followed.start()
  wills.isDelayed.mockReturnValueOnce(true)
  store.listener?.changed({ kind: 'ended', clientId: 'c' })
  expect(wills.sessionEnded).toHaveBeenCalledExactlyOnceWith('c')
})

it('lets nobody wait for it before its start is over', async () => {
  let open = (): void => {}
  store.gate = new Promise((resolve) => (open = resolve))
  const started = followed.start()
  await followed.caughtUp()
  open()
  await Promise.all([started, followed.started])
})

it('reads again until it can what could not be read while Redis was away, and applies changes from then on', async () => {
  await followed.start()
  store.gate = Promise.reject(new GatewayError('STORE_UNWRITABLE', 'Redis is away.'))
  store.records = [record('c', ['x'])]
  store.listener?.missed()
  await clock.pass(10_000)
  store.listener?.changed(subscribed('d', 'y'))
  store.gate = Promise.resolve()
  await clock.pass(1_000)
  store.listener?.changed(subscribed('e', 'z'))
  expect(world.known()).toEqual({ c: ['x'], d: ['y'], e: ['z'] })
  expect(onDefect).not.toHaveBeenCalled()
})

it('stops to read what it missed when it is stopped', async () => {
  await followed.start()
  store.gate = Promise.reject(new GatewayError('STORE_UNWRITABLE', 'Redis is away.'))
  store.listener?.missed()
  await clock.pass(1_000)
  followed.stop()
  await clock.pass(1_000)
  expect([clock.pendingTimers, onDefect.mock.calls]).toEqual([0, []])
})

it('reads behind the reading of the start when changes were missed meanwhile', async () => {
  store.records = [record('c', ['x'])]
  let open = (): void => {}
  store.gate = new Promise((resolve) => (open = resolve))
  const started = followed.start()
  await clock.pass(0)
  store.listener?.missed()
  await clock.pass(0)
  open()
  await started
  await followed.caughtUp()
  store.listener?.changed(subscribed('d', 'y'))
  expect(world.known()).toEqual({ c: ['x'], d: ['y'] })
  expect(onDefect).not.toHaveBeenCalled()
})

it('reads once when it is started again while it waits to repeat a reading', async () => {
  await followed.start()
  store.gate = Promise.reject(new GatewayError('STORE_UNWRITABLE', 'Redis is away.'))
  store.listener?.missed()
  await clock.pass(0)
  followed.stop()
  store.gate = Promise.resolve()
  const sessions = vi.spyOn(store, 'sessions')
  await followed.start()
  await clock.pass(1_000)
  expect([sessions.mock.calls.length, clock.pendingTimers]).toEqual([1, 0])
})
