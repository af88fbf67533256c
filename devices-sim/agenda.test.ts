import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Clock } from '../broker/contract/clock.js'
import { Agenda, type Appointment } from './agenda.js'

class StepClock implements Clock {
  time = 0
  private pending: { at: number; task: () => void } | undefined

  now(): number {
    return this.time
  }

  monotonic(): number {
    return this.time
  }

  schedule(delayMs: number, task: () => void) {
    const entry = { at: this.time + delayMs, task }
    this.pending = entry
    return {
      cancel: () => {
        if (this.pending === entry) this.pending = undefined
      },
    }
  }

  get idle(): boolean {
    return this.pending === undefined
  }

  step(): void {
    const entry = this.pending
    if (entry === undefined) return
    this.pending = undefined
    this.time = Math.max(this.time, entry.at)
    entry.task()
  }
}

it('runs every appointment once, in order of time, whatever was moved or cancelled', () => {
  const action = fc.record({
    which: fc.nat(19),
    due: fc.integer({ min: 0, max: 200_000 }),
    cancel: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(action, { maxLength: 100 }), (actions) => {
      const clock = new StepClock()
      const agenda = new Agenda(clock)
      const ran: { which: number; at: number }[] = []
      const appointments = Array.from({ length: 20 }, (_, which): Appointment => ({
        due: 0,
        position: -1,
        run: () => ran.push({ which, at: clock.time }),
      }))
      const expected = new Map<number, number>()
      for (const { which, due, cancel } of actions) {
        if (cancel) agenda.cancel(appointments[which]!)
        else agenda.at(due, appointments[which]!)
        if (cancel) expected.delete(which)
        else expected.set(which, due)
      }
      while (!clock.idle) clock.step()
      expect(ran.map(({ at }) => at)).toEqual([...expected.values()].sort((a, b) => a - b))
      expect(new Map(ran.map(({ which, at }) => [which, at]))).toEqual(expected)
    }),
  )
})
