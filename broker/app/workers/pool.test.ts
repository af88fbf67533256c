import type { ChildProcess } from 'node:child_process'
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../../config/load.js'
import type { WorkerEvents } from '../../contract/events.js'
import { ManualClock } from '../../contract/testing/manual-clock.js'
import { WorkerPool } from './pool.js'
import type { FromWorker, ToWorker } from './protocol.js'

/** A process that does what the test says. */
class FakeProcess extends EventEmitter {
  connected = true
  killed = false
  /** Takes nothing off the channel. */
  stuck = false
  readonly told: ToWorker[] = []
  readonly sockets: unknown[] = []

  constructor(readonly pid: number) {
    super()
  }

  send(message: ToWorker, ...rest: unknown[]): boolean {
    const done = rest.at(-1) as (error: Error | null) => void
    if (this.stuck) return false
    if (message.kind === 'socket') this.sockets.push(rest[0])
    else this.told.push(message)
    done(this.connected ? null : new Error('closed'))
    return true
  }

  says(message: FromWorker): void {
    this.emit('message', message)
  }

  exit(code: number | null, signal: string | null = null): void {
    this.connected = false
    this.emit('exit', code, signal)
  }

  kill(): boolean {
    this.killed = true
    this.exit(null, 'SIGKILL')
    return true
  }

  get kinds(): string[] {
    return this.told.map(({ kind }) => kind)
  }
}

class RecordedEvents implements WorkerEvents {
  readonly lines: string[] = []
  workerReady(worker: number): void {
    this.lines.push(`${worker} ready`)
  }
  workerExited(worker: number, how: string, restartInMs: number): void {
    this.lines.push(`${worker} exited: ${how}, again in ${restartInMs}`)
  }
  workerLeads(worker: number): void {
    this.lines.push(`${worker} leads`)
  }
}

function poolOf(count: number) {
  const clock = new ManualClock()
  const processes: FakeProcess[] = []
  const events = new RecordedEvents()
  const config = parseConfig({})
  const pool = new WorkerPool({
    count,
    fork: () => {
      const child = new FakeProcess(1_000 + processes.length)
      processes.push(child)
      return child as unknown as ChildProcess
    },
    greeting: () => ({ kind: 'start', config, configSource: undefined }),
    events,
    clock,
    random: () => 1,
    stopWithinMs: 5_000,
  })
  const starting = pool.start()
  starting.catch(() => {})
  const process = (index: number) => processes[index] as FakeProcess
  const allReady = async () => {
    for (const child of processes) child.says({ kind: 'ready' })
    await starting
    await settled()
  }
  return { pool, clock, processes, process, events, starting, allReady }
}

const settled = () => new Promise(setImmediate)

function socket(): Socket & { destroyed: boolean } {
  const fake = { destroyed: false, destroy: () => (fake.destroyed = true) }
  return fake as unknown as Socket & { destroyed: boolean }
}

describe('workers', () => {
  it('are started all at once; one of them leads', async () => {
    const { processes, events, allReady, pool } = poolOf(3)
    expect(processes.map(({ kinds }) => kinds)).toEqual([['start'], ['start'], ['start']])
    expect(pool.readiness()[0]?.readiness.ready).toBe(false)
    await allReady()
    expect(events.lines.filter((line) => line.endsWith('leads'))).toEqual(['1 leads'])
    expect(processes.map(({ kinds }) => kinds)).toEqual([['start', 'lead'], ['start'], ['start']])
    expect(pool.readiness()[0]?.readiness).toEqual({ ready: true })
  })

  it('that cannot be started end the start, with what they say', async () => {
    const { process, starting } = poolOf(2)
    process(0).says({ kind: 'ready' })
    process(1).says({
      kind: 'failed',
      failure: { code: 'REDIS_UNREACHABLE', message: 'no', hint: 'start it' },
    })
    process(1).exit(1)
    await settled()
    expect(process(0).kinds).toContain('stop')
    process(0).exit(0)
    await expect(starting).rejects.toMatchObject({ code: 'REDIS_UNREACHABLE', hint: 'start it' })
  })

  it('that end are started again, later each time, and the duties move', async () => {
    const { pool, process, processes, events, clock, allReady } = poolOf(2)
    await allReady()
    events.lines.length = 0
    process(0).exit(null, 'SIGSEGV')
    await settled()
    expect(events.lines).toEqual(['1 exited: signal SIGSEGV, again in 250', '2 leads'])
    expect(process(1).kinds).toEqual(['start', 'lead'])
    // The other one serves: the node stays where it is.
    expect(pool.readiness()[0]?.readiness).toEqual({ ready: true })
    await clock.pass(250)
    expect(processes).toHaveLength(3)
    process(2).says({ kind: 'failed', failure: { code: 'INTERNAL', message: 'no', hint: undefined } })
    process(2).exit(1)
    await settled()
    expect(events.lines.at(-1)).toBe('1 exited: INTERNAL: no, again in 500')
    await clock.pass(500)
    process(3).says({ kind: 'ready' })
    await settled()
    expect(process(3).kinds).toEqual(['start'])
    // It has run well for a minute: what comes then has another reason.
    await clock.pass(60_000)
    process(3).exit(1)
    await settled()
    expect(events.lines.at(-1)).toBe('1 exited: exit code 1, again in 250')
  })

  it('that end are named to another one, or to the next one, which takes over from them', async () => {
    const { process, clock, allReady } = poolOf(2)
    const joined = (index: number, node: string) =>
      process(index).says({ kind: 'state', services: [], clients: 0, node })
    joined(0, 'a')
    joined(1, 'b')
    await allReady()
    // It was taken for dead and has joined again.
    joined(0, 'a2')
    process(0).exit(null, 'SIGKILL')
    await settled()
    expect(process(1).told).toContainEqual({ kind: 'ended', node: 'a2' })
    process(1).exit(null, 'SIGKILL')
    await settled()
    await clock.pass(250)
    joined(2, 'c')
    process(2).says({ kind: 'ready' })
    await settled()
    const told = process(2).told.filter(({ kind }) => kind === 'ended')
    expect(told).toEqual([{ kind: 'ended', node: 'b' }])
  })

  it('get the connections, whoever has the fewest', async () => {
    const { pool, process, clock, allReady } = poolOf(2)
    expect(pool.hand('mqtt', socket())).toBe(false)
    await allReady()
    for (let i = 0; i < 10; i++) expect(pool.hand('mqtt', socket())).toBe(true)
    expect([process(0).sockets.length, process(1).sockets.length]).toEqual([5, 5])
    process(0).says({ kind: 'closed', connections: { mqtt: 3 } })
    for (let i = 0; i < 3; i++) pool.hand('web', socket())
    expect([process(0).sockets.length, process(1).sockets.length]).toEqual([8, 5])
    expect([pool.connections(), pool.connections('mqtt'), pool.connections('web')]).toEqual([10, 7, 3])

    process(1).exit(1)
    await settled()
    expect(pool.connections()).toBe(5)
    await clock.pass(250)
    process(2).says({ kind: 'ready' })
    await settled()
    for (let i = 0; i < 5; i++) pool.hand('mqtt', socket())
    expect([process(0).sockets.length, process(2).sockets.length]).toEqual([8, 5])
  })

  it('get what a worker that is stuck has no room for', async () => {
    const { pool, process, allReady } = poolOf(2)
    await allReady()
    process(0).stuck = true
    let handed = 0
    for (let i = 0; i < 10_000; i++) {
      if (pool.hand('mqtt', socket())) handed++
      process(1).says({ kind: 'taken', ids: [process(1).sockets.length] })
    }
    expect(handed).toBe(10_000)
    process(1).stuck = true
    for (let i = 0; i < 5_000; i++) if (pool.hand('mqtt', socket())) handed++
    expect(handed).toBe(10_000 + 4_096)
  })

  it('lose the connection that is under way when they end', async () => {
    const { pool, process, allReady } = poolOf(1)
    await allReady()
    process(0).connected = false
    const lost = socket()
    pool.hand('mqtt', lost)
    expect([lost.destroyed, pool.connections()]).toEqual([true, 0])
  })

  it('lose those that waited for them, too', async () => {
    const { pool, process, allReady } = poolOf(1)
    await allReady()
    process(0).stuck = true
    const waiting = [socket(), socket()]
    for (const one of waiting) expect(pool.hand('mqtt', one)).toBe(true)
    process(0).exit(1)
    expect(waiting.map(({ destroyed }) => destroyed)).toEqual([true, true])
  })

  it('tell how they are', async () => {
    const { pool, process, allReady } = poolOf(2)
    await allReady()
    const away = { name: 'store', readiness: { ready: false, reason: 'Redis is away' } } as const
    process(0).says({ kind: 'state', services: [], clients: 3, node: 'a' })
    process(1).says({ kind: 'state', services: [away], clients: 4, node: 'b' })
    expect(pool.clients).toBe(7)
    expect(pool.readiness().slice(1)).toEqual([{ ...away, name: 'worker 2: store' }])
    process(1).exit(1)
    await settled()
    expect([pool.clients, pool.readiness().length]).toEqual([3, 1])
  })

  it('drain together, also when one of them ends meanwhile', async () => {
    const { pool, process, allReady } = poolOf(2)
    await allReady()
    let drained = false
    const draining = pool.drain().then(() => (drained = true))
    expect([process(0).kinds.at(-1), process(1).kinds.at(-1)]).toEqual(['drain', 'drain'])
    expect(pool.hand('mqtt', socket())).toBe(false)
    process(0).says({ kind: 'drained' })
    await settled()
    expect(drained).toBe(false)
    process(1).exit(1)
    await draining
  })

  it('lead no more once they drain, also when one is started again behind that', async () => {
    const { pool, process, clock, allReady } = poolOf(1)
    await allReady()
    const draining = pool.drain()
    process(0).exit(1)
    await draining
    await clock.pass(250)
    process(1).says({ kind: 'ready' })
    await settled()
    expect(process(1).kinds).toEqual(['start'])
  })

  it('are killed when they do not stop in time, and are not started again', async () => {
    const { pool, process, processes, clock, allReady } = poolOf(2)
    await allReady()
    const stopped = pool.stop()
    process(0).exit(0)
    await clock.pass(4_999)
    expect(process(1).killed).toBe(false)
    await clock.pass(1)
    await stopped
    expect([process(0).killed, process(1).killed, processes.length, clock.pendingTimers]).toEqual([
      false,
      true,
      2,
      0,
    ])
  })

  it('tell their metrics; one that is stuck is left out', async () => {
    const { pool, process, clock, allReady } = poolOf(2)
    await allReady()
    const metrics = pool.metrics()
    process(0).says({ kind: 'metrics', request: 1, metrics: [] })
    await clock.pass(2_000)
    expect([...(await metrics).keys()]).toEqual(['1'])
  })
})
