import { describe, expect, it } from 'vitest'
import { ManualClock } from '../contract/testing/manual-clock.js'
import { KeepAlive } from './keep-alive.js'
import { TimerWheel } from './timer-wheel.js'

function keepAliveOf(limitMs: number) {
  const clock = new ManualClock()
  const wheel = new TimerWheel(clock, 250, (error) => expect.unreachable(String(error)))
  const state = { silent: false }
  const keepAlive = new KeepAlive(wheel, clock, limitMs, () => (state.silent = true))
  return { clock, keepAlive, state }
}

describe('keep-alive', () => {
  it('ends a connection that has been silent for its limit, and no other', () => {
    const { clock, keepAlive, state } = keepAliveOf(3_000)
    for (let i = 0; i < 10; i++) {
      clock.advance(2_900)
      keepAlive.heard()
    }
    expect(state.silent).toBe(false)
    clock.advance(3_250)
    expect(state.silent).toBe(true)
  })

  it('does not take a pause of the process, or a clock that is set, for silence of the client', () => {
    const { clock, keepAlive, state } = keepAliveOf(3_000)
    clock.setWallClock(3_600_000)
    clock.sleep(60_000)
    clock.advance(0)
    keepAlive.heard() // what came in the meantime
    clock.advance(2_500)
    expect(state.silent).toBe(false)
  })
})
