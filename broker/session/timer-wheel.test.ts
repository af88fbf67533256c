import { describe, expect, it } from 'vitest'
import { ManualClock } from '../contract/testing/manual-clock.js'
import { TimerWheel } from './timer-wheel.js'

function wheelOf(
  clock: ManualClock,
  onDefect: (error: unknown) => void = (error) => expect.unreachable(String(error)),
) {
  return new TimerWheel(clock, 100, onDefect)
}

describe('TimerWheel', () => {
  it.each([0, 1, 99, 100, 101, 5_000, 51_200, 51_201, 400_000])(
    'runs a task due in %d ms on time',
    (delay) => {
      const clock = new ManualClock()
      const wheel = wheelOf(clock)
      clock.sleep(37)
      let ranAt: number | undefined
      const from = clock.now()
      wheel.schedule(delay, () => (ranAt = clock.now() - from))
      clock.advance(delay + 200)
      expect(ranAt).toBeGreaterThanOrEqual(delay)
      expect(ranAt).toBeLessThanOrEqual(delay + 200)
    },
  )

  it('never runs what was cancelled, and stands still when it is empty', () => {
    const clock = new ManualClock()
    const wheel = wheelOf(clock)
    const timer = wheel.schedule(1_000, () => expect.unreachable())
    timer.cancel()
    timer.cancel()
    expect(clock.pendingTimers).toBe(0)
    clock.advance(5_000)
  })

  it('keeps the time of timers that are set while others run', () => {
    const clock = new ManualClock()
    const wheel = wheelOf(clock)
    const ran: number[] = []
    const from = clock.now()
    const again = (): void => {
      ran.push(clock.now() - from)
      if (ran.length < 3) wheel.schedule(1_000, again)
    }
    wheel.schedule(1_000, again)
    clock.advance(10_000)
    expect(ran).toEqual([1_000, 2_000, 3_000])
  })

  it('catches up after the process was asleep', () => {
    const clock = new ManualClock()
    const wheel = wheelOf(clock)
    const ran: string[] = []
    wheel.schedule(1_000, () => ran.push('first'))
    wheel.schedule(60_000, () => ran.push('second'))
    clock.sleep(3_600_000)
    clock.advance(100_000)
    expect(ran).toEqual(['first', 'second'])
  })

  it('goes by the time that passes, not by a wall clock that is set', () => {
    const clock = new ManualClock()
    const wheel = wheelOf(clock)
    let ran = 0
    wheel.schedule(10_000, () => ran++)
    clock.setWallClock(3_600_000)
    clock.advance(9_000)
    expect(ran).toBe(0)
    clock.setWallClock(-7_200_000)
    clock.advance(1_200)
    expect(ran).toBe(1)
  })

  it('lets a process that was asleep read for a tick before it runs what is due', () => {
    const clock = new ManualClock()
    const wheel = wheelOf(clock)
    let ran = false
    wheel.schedule(2_000, () => (ran = true))
    clock.sleep(5_000)
    clock.advance(0)
    expect(ran).toBe(false)
    clock.advance(100)
    expect(ran).toBe(true)
  })

  it('lets it do so after each sleep, also when nothing was left to run behind the last one', () => {
    const clock = new ManualClock()
    const wheel = wheelOf(clock)
    const timer = wheel.schedule(10_000, () => {})
    clock.sleep(5_000)
    clock.advance(0)
    timer.cancel()
    let ran = false
    wheel.schedule(2_000, () => (ran = true))
    clock.sleep(5_000)
    clock.advance(0)
    expect(ran).toBe(false)
    clock.advance(100)
    expect(ran).toBe(true)
  })

  it('tells of a task that throws and goes on', () => {
    const clock = new ManualClock()
    const defects: unknown[] = []
    const wheel = wheelOf(clock, (error) => defects.push(error))
    let ran = false
    wheel.schedule(100, () => {
      throw new Error('defect')
    })
    wheel.schedule(100, () => (ran = true))
    clock.advance(200)
    expect(defects).toHaveLength(1)
    expect(ran).toBe(true)
  })
})
