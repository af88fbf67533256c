import { describe, expect, it } from 'vitest'
import type { CloseCause, ConnectionHandler, ConnectionInfo } from '../contract/transport.js'
import type { Channel } from './channel.js'
import { Connection, type ConnectionContext } from './connection.js'
import { FlushQueue } from './flush-queue.js'
import { ENTRY_OVERHEAD } from './outbox-queue.js'
import { ManualClock } from '../contract/testing/manual-clock.js'
import { RecordedEvents } from './testing.js'

const info: ConnectionInfo = {
  connectionId: 1,
  listener: 'test',
  transport: 'tcp',
  remoteAddress: '127.0.0.1',
  remotePort: 1,
  loopback: true,
  bearerToken: undefined,
  certificateName: undefined,
}

const SOFT = 1_000
const HARD = 2_000
const WRITE = 500
const CLOSE_MS = 2_000

class FakeChannel implements Channel {
  readonly writes: string[] = []
  /** Whether the peer reads; if not, what is written stays in the socket. */
  reads = true
  bufferedBytes = 0
  paused = false
  ended: CloseCause | undefined = undefined
  destroyed = false

  write(batch: readonly Buffer[], length: number): boolean {
    this.writes.push(Buffer.concat(batch, length).toString())
    if (!this.reads) this.bufferedBytes += length
    return this.reads
  }
  pause(): void {
    this.paused = true
  }
  resume(): void {
    this.paused = false
  }
  end(cause: CloseCause): void {
    this.ended = cause
  }
  destroy(): void {
    this.destroyed = true
  }
}

function open(handler: Partial<ConnectionHandler> = {}) {
  const channel = new FakeChannel()
  const clock = new ManualClock()
  const events = new RecordedEvents()
  const closed: CloseCause[] = []
  const turn: (() => void)[] = []
  let drained = 0
  const context: ConnectionContext = {
    acceptConnection: () => ({
      received: () => {},
      drained: () => drained++,
      closed: (cause) => closed.push(cause),
      ...handler,
    }),
    events,
    clock,
    flushQueue: new FlushQueue(
      () => {},
      (task) => turn.push(task),
    ),
    softLimit: SOFT,
    hardLimit: HARD,
    writeSize: WRITE,
    closeTimeoutMs: CLOSE_MS,
    onGone: () => {},
  }
  const connection = new Connection(info, () => channel, context)
  return {
    connection,
    channel,
    clock,
    events,
    closed,
    drained: () => drained,
    send: (text: string, droppable = false) => connection.send(Buffer.from(text), droppable),
    endTurn: () => {
      for (const task of turn.splice(0)) task()
    },
    peerReads: () => {
      channel.reads = true
      channel.bufferedBytes = 0
      connection.writable()
    },
  }
}

/** Sends something that the peer does not read. */
function openBlocked(handler: Partial<ConnectionHandler> = {}) {
  const test = open(handler)
  test.channel.reads = false
  test.send('.')
  test.endTurn()
  return test
}

describe('sending', () => {
  it('writes what a turn has produced once, in order', () => {
    const { send, endTurn, channel } = open()
    send('a')
    send('b', true)
    send('c')
    expect(channel.writes).toEqual([])
    endTurn()
    expect(channel.writes).toEqual(['abc'])
    endTurn()
    expect(channel.writes).toEqual(['abc'])
  })

  it('collects while the peer does not read, and goes on when it does', () => {
    const { send, endTurn, channel, peerReads, connection } = openBlocked()
    send('a')
    send('b')
    endTurn()
    expect(channel.writes).toEqual(['.'])
    expect(connection.pendingBytes).toBe(3)
    peerReads()
    expect(channel.writes).toEqual(['.', 'ab'])
    expect(connection.pendingBytes).toBe(0)
  })

  it('does not wait for the end of the turn when it produces a lot', () => {
    const { connection, channel } = open()
    for (let i = 0; i < 10; i++) connection.send(Buffer.alloc(60), false)
    expect(channel.writes.length).toBeGreaterThan(0)
    expect(connection.pendingBytes).toBeLessThan(WRITE)
  })

  it('does not drop for a peer that reads, however much a turn produces', () => {
    const { connection, events } = open()
    for (let i = 0; i < 100; i++) connection.send(Buffer.alloc(SOFT), true)
    expect(events.droppedMessages).toBe(0)
    expect(connection.congested).toBe(false)
  })
})

describe('the soft limit', () => {
  const perMessage = 10 + ENTRY_OVERHEAD

  it('drops droppable messages, oldest first, and counts them', () => {
    const { connection, events, channel, peerReads } = openBlocked()
    const fit = Math.floor((SOFT - 1) / perMessage)
    for (let i = 0; i < fit + 3; i++) connection.send(Buffer.from(String(i).padStart(10)), true)
    expect(events).toMatchObject({ droppedMessages: 3, droppedBytes: 30 })
    expect(connection.congested).toBe(false)
    peerReads()
    expect(channel.writes[1]?.trim().split(/ +/)[0]).toBe('3')
  })

  it('is passed by what may not be dropped: congested until the peer has read', () => {
    const test = openBlocked()
    const { connection, events, drained } = test
    for (let i = 0; i * perMessage < SOFT; i++) connection.send(Buffer.alloc(10), false)
    expect(connection.congested).toBe(true)
    expect(drained()).toBe(0)
    test.peerReads()
    expect(connection.congested).toBe(false)
    expect(drained()).toBe(1)
    expect(events.droppedMessages).toBe(0)
  })

  it('counts a message that is in the socket', () => {
    const { connection, channel, endTurn, peerReads, drained } = open()
    channel.reads = false
    connection.send(Buffer.alloc(SOFT + 1), true)
    endTurn()
    expect(connection.congested).toBe(true)
    peerReads()
    expect(connection.congested).toBe(false)
    expect(drained()).toBe(1)
  })
})

describe('the hard limit', () => {
  it('closes as slow_receiver and lets go of the queue', () => {
    const { connection, channel, endTurn, clock } = openBlocked()
    for (let i = 0; i < 40; i++) connection.send(Buffer.alloc(10), false)
    endTurn()
    expect(channel.ended).toBe('slow_receiver')
    expect(connection.pendingBytes).toBe(1)
    clock.advance(CLOSE_MS)
    expect(channel.destroyed).toBe(true)
  })

  it('is never reached by droppable messages', () => {
    const { connection, channel, endTurn } = openBlocked()
    for (let i = 0; i < 10_000; i++) connection.send(Buffer.alloc(10), true)
    endTurn()
    expect(channel.ended).toBeUndefined()
    expect(connection.pendingBytes).toBeLessThan(SOFT)
  })
})

describe('closing', () => {
  it('sends what is queued first, and nothing that comes later', () => {
    const { send, connection, channel, endTurn } = open()
    send('last')
    connection.close('not_authorized')
    send('too late')
    connection.close('internal_error')
    endTurn()
    expect(channel.writes).toEqual(['last'])
    expect(channel.ended).toBe('not_authorized')
  })

  it('waits for a peer that reads slowly', () => {
    const { send, connection, channel, endTurn, peerReads, clock, closed } = openBlocked()
    send('last')
    connection.close('taken_over')
    endTurn()
    expect(channel.ended).toBeUndefined()
    peerReads()
    expect(channel.writes).toEqual(['.', 'last'])
    expect(channel.ended).toBe('taken_over')
    connection.gone()
    expect(closed).toEqual(['taken_over'])
    expect(clock.pendingTimers).toBe(0)
  })

  it('does not wait longer than its time for a frozen one', () => {
    const { connection, channel, endTurn, clock } = openBlocked()
    connection.close('keep_alive_timeout')
    endTurn()
    clock.advance(CLOSE_MS - 1)
    expect(channel.destroyed).toBe(false)
    clock.advance(1)
    expect(channel.destroyed).toBe(true)
  })

  it('reads on, so that the end of the peer is noticed, and hands nothing on', () => {
    const received: Buffer[] = []
    const { connection, channel } = open({ received: (bytes) => received.push(bytes) })
    connection.pause()
    expect(channel.paused).toBe(true)
    connection.close('administrative')
    expect(channel.paused).toBe(false)
    connection.received(Buffer.from('late'), 0, 4)
    expect(received).toEqual([])
  })

  it('tells the first cause: the one of a failed socket only if nobody else had one', () => {
    const failed = open()
    failed.connection.failed('socket_error')
    failed.connection.gone()
    expect(failed.closed).toEqual(['socket_error'])
    const closing = open()
    closing.connection.close('taken_over')
    closing.connection.failed('socket_error')
    closing.endTurn()
    closing.connection.gone()
    expect(closing.closed).toEqual(['taken_over'])
    expect(closing.channel.ended).toBeUndefined()
  })
})

describe('a handler that throws', () => {
  const defect = new Error('defect')
  function fail(): never {
    throw defect
  }

  it('costs its connection, and is told', () => {
    const { connection, events, channel, endTurn } = open({ received: fail })
    connection.received(Buffer.from('x'), 0, 1)
    endTurn()
    expect(events.defects).toEqual([defect])
    expect(channel.ended).toBe('internal_error')
  })

  it('when drained or closed is told too', () => {
    const { connection, events, peerReads } = openBlocked({ drained: fail, closed: fail })
    for (let i = 0; i < 15; i++) connection.send(Buffer.alloc(10), false)
    peerReads()
    expect(events.defects).toEqual([defect])
    connection.gone()
    expect(events.defects).toEqual([defect, defect])
    expect(events.closed).toEqual(['internal_error'])
  })
})
