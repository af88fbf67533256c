import { beforeEach, describe, expect, it, vi } from 'vitest'
import type { Engine, PublishDone } from '../contract/engine.js'
import { GatewayError, type ErrorCode } from '../contract/errors.js'
import type { SessionEvents } from '../contract/events.js'
import type { Message } from '../contract/message.js'
import type { Store, StoredWill } from '../contract/store.js'
import { ManualClock } from '../contract/testing/manual-clock.js'
import { messageOf } from './testing.js'
import { TimerWheel } from './timer-wheel.js'
import { Wills } from './wills.js'

const stored = new Map<string, StoredWill>()
const published: Message[] = []
const events = { willPublished: vi.fn(), messageDropped: vi.fn() }
const defects: unknown[] = []
let failure: ErrorCode | undefined
let clock: ManualClock
let wills: Wills

const store = {
  putWill: (clientId: string, will: StoredWill) => Promise.resolve(void stored.set(clientId, will)),
  deleteWill: (clientId: string) => Promise.resolve(void stored.delete(clientId)),
  async *wills() {
    yield* await Promise.resolve([...stored])
  },
}
const engine = {
  publishWill(message: Message, clientId: string, done: PublishDone) {
    if (failure !== undefined) {
      done(new GatewayError(failure, 'made to fail'), 0)
      return
    }
    published.push(message)
    stored.delete(clientId)
    done(undefined, 1)
  },
}

beforeEach(() => {
  failure = undefined
  clock = new ManualClock()
  stored.clear()
  published.length = defects.length = 0
  vi.clearAllMocks()
  const onDefect = (error: unknown) => defects.push(error)
  wills = new Wills(
    store as unknown as Store,
    engine as unknown as Engine,
    new TimerWheel(clock, 250, onDefect),
    clock,
    events as unknown as SessionEvents,
    onDefect,
  )
})

const will = messageOf('gone', { retain: true })

describe('a will that the store refuses for good', () => {
  beforeEach(async () => {
    await wills.register('c', will, 0)
    failure = 'QUOTA_EXCEEDED'
  })

  it('is counted and forgotten, and the end of the connection goes on', async () => {
    await wills.connectionEnded('c', will, 0, 0)
    expect(events.messageDropped).toHaveBeenCalledExactlyOnceWith('store_failed', 'c', 1)
    expect(events.willPublished).not.toHaveBeenCalled()
    expect(stored.size).toBe(0)
  })

  it('does not keep the gateway from starting', async () => {
    await wills.restore(() => false)
    expect(events.messageDropped).toHaveBeenCalledOnce()
    expect(stored.size).toBe(0)
  })
})

describe('a will that the store cannot take now', () => {
  it.each(['STORE_BUSY', 'STORE_UNWRITABLE'] as const)('is published when it can (%s)', async (code) => {
    await wills.register('c', will, 0)
    failure = code
    await wills.connectionEnded('c', will, 0, 0)
    clock.advance(1_500)
    await vi.waitFor(() => expect(clock.pendingTimers).toBe(1))
    expect(stored.size).toBe(1)
    failure = undefined
    clock.advance(1_500)
    await vi.waitFor(() => expect(stored.size).toBe(0))
    expect(published.map(({ payload }) => payload.toString())).toEqual(['gone'])
    expect(defects).toEqual([])
  })

  it.each([
    ['with another will', () => wills.register('c', messageOf('again'), 0)],
    ['without one', () => wills.discard('c')],
  ])('is published before the client is back %s', async (_, back) => {
    await wills.register('c', will, 0)
    failure = 'STORE_UNWRITABLE'
    await wills.connectionEnded('c', will, 0, 0)
    await expect(back()).rejects.toMatchObject({ code: 'STORE_UNWRITABLE' })
    expect([stored.get('c')?.message.payload.toString(), clock.pendingTimers]).toEqual(['gone', 1])
    failure = undefined
    await back()
    expect(published.map(({ payload }) => payload.toString())).toEqual(['gone'])
    clock.advance(1_500)
    expect([published.length, clock.pendingTimers, defects]).toEqual([1, 0, []])
  })

  it('is left to the next process when this one ends', async () => {
    await wills.register('c', will, 0)
    failure = 'STORE_CLOSED'
    await wills.connectionEnded('c', will, 0, 0)
    expect(stored.size).toBe(1)
    expect(clock.pendingTimers).toBe(0)
  })
})
