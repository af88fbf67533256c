import { describe, expect, it } from 'vitest'
import type { AuthenticationExchange } from '../contract/enhanced-authentication.js'
import { DecisionSlots } from './decision-slots.js'
import { guarded } from './guarded-mechanism.js'
import { ManualClock } from '../contract/testing/manual-clock.js'
import { RecordedEvents, settled } from './testing.js'

function setUp(begin: () => AuthenticationExchange) {
  const clock = new ManualClock()
  const events = new RecordedEvents()
  const slots = new DecisionSlots({ concurrent: 1, waiting: 0 })
  const mechanism = guarded({ method: 'X', begin }, { name: 'x', timeoutMs: 5_000, clock, slots, events })
  const exchange = mechanism.begin({ clientId: 'c', username: undefined, current: undefined })
  return { clock, events, slots, mechanism, exchange }
}

const refused = (reason: string) => ({ kind: 'refused', reason })

describe('a guarded mechanism', () => {
  it('hands steps through, to one exchange', async () => {
    let begun = 0
    const { exchange, mechanism, clock } = setUp(() => {
      begun++
      return { step: (data) => Promise.resolve({ kind: 'continue', data: data ?? Buffer.from('none') }) }
    })
    expect(mechanism.method).toBe('X')
    expect(await exchange.step(undefined)).toEqual({ kind: 'continue', data: Buffer.from('none') })
    expect(await exchange.step(Buffer.from('a'))).toEqual({ kind: 'continue', data: Buffer.from('a') })
    expect([begun, clock.pendingTimers]).toEqual([1, 0])
  })

  it('refuses what fails, at the beginning or in a step', async () => {
    const fails = () => {
      throw new Error('away')
    }
    for (const begin of [
      fails,
      () => ({ step: fails }),
      () => ({ step: () => Promise.reject(new Error('away')) }),
    ]) {
      const { exchange, events } = setUp(begin)
      expect(await exchange.step(undefined)).toEqual(refused('authenticator_failed'))
      expect(events.lines).toEqual(['failed x: away'])
    }
  })

  it('refuses what takes too long, and who comes while as many decide as may', async () => {
    const { exchange, mechanism, clock, events } = setUp(() => ({ step: () => new Promise(() => {}) }))
    const step = exchange.step(undefined)
    const other = mechanism.begin({ clientId: 'd', username: undefined, current: undefined })
    expect(await other.step(undefined)).toEqual(refused('server_busy'))
    await settled()
    clock.advance(5_000)
    expect(await step).toEqual(refused('authenticator_timeout'))
    expect(events.lines).toEqual(['failed x: no decision within 5000 ms'])
  })
})
