import { describe, expect, it } from 'vitest'
import { ManualClock } from '../contract/testing/manual-clock.js'
import { Drain, type DrainParts } from './drain.js'

const settings = { graceSeconds: 4, noticeSeconds: 5, clientsPerSecond: 10, drainSeconds: 20 }

function drainOf(parts: Partial<DrainParts> = {}) {
  const clock = new ManualClock()
  const steps: string[] = []
  let leave: (closed: boolean) => void = () => {}
  const drain = new Drain({
    listeners: [{ stopAccepting: () => void steps.push('listeners closed') }],
    bridges: { stop: () => Promise.resolve(void steps.push('pipelines stopped')) },
    sessions: {
      clientCount: 7,
      drain: (plan) => {
        steps.push(`clients leave: ${JSON.stringify(plan)}`)
        return new Promise((resolve) => (leave = resolve))
      },
    },
    settings,
    elsewhere: () => true,
    clock,
    log: { info: () => {}, warn: (_fields, text) => void steps.push(text) },
    ...parts,
  })
  return { drain, clock, steps, leave: (closed = true) => leave(closed) }
}

const leaving =
  'clients leave: {"clientsPerSecond":10,"withinMs":20000,"closedWithinMs":4000,"elsewhere":true}'

describe('a drain', () => {
  it('goes one step after the other, and tells how far it is', async () => {
    const { drain, clock, steps, leave } = drainOf()
    expect([drain.readiness(), drain.status().phase]).toEqual([[], 'serving'])
    drain.begin()
    expect(drain.readiness()).toMatchObject([{ name: 'drain', readiness: { ready: false } }])
    await clock.pass(4_999)
    expect([drain.status().phase, steps]).toEqual(['announced', []])
    await clock.pass(1)
    expect(steps).toEqual(['listeners closed', 'pipelines stopped', leaving])
    expect(drain.status()).toEqual({ phase: 'leaving', clients: 7, clientsAtStart: 7, seconds: 5 })
    const done = drain.run()
    await clock.pass(0.7001)
    leave()
    await done
    // Whoever asks later hears how long it took.
    await clock.pass(60_000)
    expect(drain.status()).toMatchObject({ phase: 'drained', seconds: 5.001 })
    expect([drain.readiness().length, clock.pendingTimers]).toEqual([1, 0])
  })

  it('ends though a client, or the store, does not', async () => {
    const { drain, clock, steps } = drainOf()
    const done = drain.run()
    await clock.pass(5_000 + 28_000)
    await done
    expect(drain.status().phase).toBe('drained')
    expect(steps.at(-1)).toContain('has taken its time')
  })

  it('says so when sessions could not be closed, since the store is away', async () => {
    const { drain, clock, steps, leave } = drainOf()
    const done = drain.run()
    await clock.pass(5_000)
    leave(false)
    await done
    expect(drain.status().phase).toBe('drained')
    expect(steps.at(-1)).toContain('has taken its time')
    expect(clock.pendingTimers).toBe(0)
  })

  it('goes on when the pipelines fail', async () => {
    const { drain, clock, steps } = drainOf({ bridges: { stop: () => Promise.reject(new Error('no')) } })
    drain.begin()
    await clock.pass(5_000)
    expect(steps).toEqual(['listeners closed', 'the pipelines did not stop cleanly', leaving])
  })
})
