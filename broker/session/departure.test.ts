import { describe, expect, it } from 'vitest'
import { ManualClock } from '../contract/testing/manual-clock.js'
import { ClientIdLock } from './client-id-lock.js'
import { Departure } from './departure.js'
import type { SessionClient } from './session-table.js'

/** Sessions of clients that leave when they are asked to. */
function sessionsOf(count: number) {
  const lock = new ClientIdLock()
  const connected = new Map<string, SessionClient>()
  const codes: number[] = []
  const connect = (clientId: string, release = () => Promise.resolve()) => {
    const connection = {
      end: (_cause: string, code: number) => void codes.push(code),
      release: () => {
        connected.delete(clientId)
        return release()
      },
    }
    connected.set(clientId, { clientId, connection } as unknown as SessionClient)
  }
  for (let i = 0; i < count; i++) connect(`c${i}`)
  return { lock, codes, connect, connected, clients: () => connected.values() }
}

const plan = { clientsPerSecond: 100, withinMs: 60_000, closedWithinMs: 4_000, elsewhere: false }

describe('clients are asked to leave', () => {
  it('at the pace of the configuration', async () => {
    const clock = new ManualClock()
    const sessions = sessionsOf(250)
    const done = new Departure(sessions, clock).run(plan)
    const left: number[] = []
    for (let ms = 0; ms < 2_500; ms += 500) {
      await clock.pass(ms === 0 ? 0 : 500)
      left.push(sessions.connected.size)
    }
    expect(left).toEqual([240, 190, 140, 90, 40])
    await clock.pass(500)
    await done
    expect(sessions.connected.size).toBe(0)
    expect(clock.pendingTimers).toBe(0)
  })

  it('faster where they would not be done in time, evenly', async () => {
    const clock = new ManualClock()
    const sessions = sessionsOf(1_000)
    const done = new Departure(sessions, clock).run({ ...plan, withinMs: 2_000 })
    await clock.pass(1_000)
    expect(sessions.connected.size).toBe(450)
    await clock.pass(1_000)
    await done
    expect(sessions.connected.size).toBe(0)
  })

  it('all of them also when the clock jumps', async () => {
    const clock = new ManualClock()
    const sessions = sessionsOf(500)
    const done = new Departure(sessions, clock).run(plan)
    clock.sleep(60_000)
    await clock.pass(100)
    await done
    expect(sessions.codes).toHaveLength(500)
  })

  it('and no longer waited for than they are given when the store does not close their sessions', async () => {
    const clock = new ManualClock()
    const sessions = sessionsOf(0)
    sessions.connect('c', () => new Promise(() => {}))
    const done = new Departure(sessions, clock).run(plan)
    await clock.pass(4_000)
    expect(await done).toBe(false)
    expect(clock.pendingTimers).toBe(0)
  })

  it('also who was in the middle of CONNECT, and those whose session could not be closed', async () => {
    const clock = new ManualClock()
    const sessions = sessionsOf(0)
    let finish = (): void => {}
    const connecting = sessions.lock.run('late', async () => {
      await new Promise<void>((resolve) => (finish = resolve))
      sessions.connect('late', () => Promise.reject(new Error('the store is away')))
    })
    const done = new Departure(sessions, clock).run(plan)
    await clock.pass(1)
    finish()
    await connecting
    await done
    expect(sessions.codes).toEqual([0x8b])
  })
})

describe('they are told', () => {
  it.each([
    ['to use another server where there is one', true, 0x9c, 0x9c],
    ['that the server goes where there is none', false, 0x8b, 0x88],
  ])('%s', async (_title, elsewhere, disconnect, connack) => {
    const sessions = sessionsOf(1)
    const departure = new Departure(sessions, new ManualClock())
    expect(departure.refusal).toBeUndefined()
    await departure.run({ ...plan, elsewhere })
    expect(sessions.codes).toEqual([disconnect])
    expect(departure.refusal).toBe(connack)
  })
})
