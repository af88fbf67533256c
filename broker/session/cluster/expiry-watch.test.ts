import { expect, it } from 'vitest'
import { ManualClock } from '../../contract/testing/manual-clock.js'
import { ExpiryWatch } from './expiry-watch.js'

function watch(claims: (() => Promise<readonly string[]>)[]) {
  const clock = new ManualClock()
  const ended: string[] = []
  const defects: unknown[] = []
  const store = { claimExpired: () => claims.shift()?.() ?? Promise.resolve([]) }
  const expire = (clientId: string): Promise<void> => {
    if (clientId === 'bad') return Promise.reject(new Error('defect'))
    ended.push(clientId)
    return Promise.resolve()
  }
  const expiry = new ExpiryWatch(store, clock, expire, (error) => defects.push(error))
  return { clock, ended, defects, expiry }
}

it('ends what it is given each second, at once while there is more', async () => {
  const many = Array.from({ length: 100 }, (_, i) => `${i}`)
  const { clock, ended, defects, expiry } = watch([
    () => Promise.resolve(many),
    () => Promise.resolve(['last', 'bad']),
  ])
  expiry.start()
  await clock.pass(1_000)
  expect(ended).toEqual([...many, 'last'])
  expect(defects).toHaveLength(1)
})

it('goes on behind a failure, and stops for good', async () => {
  const { clock, ended, defects, expiry } = watch([
    () => Promise.reject(new Error('away')),
    () => Promise.resolve(['c']),
  ])
  expiry.start()
  await clock.pass(2_000)
  expect([ended, defects.length]).toEqual([['c'], 1])
  await expiry.stop()
  expect(clock.pendingTimers).toBe(0)
})
