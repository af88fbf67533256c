import { once } from 'node:events'
import type { Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../contract/testing/manual-clock.js'
import {
  closeAll,
  handshakeHead,
  openListener,
  openSocket,
  type RecordedConnection,
  type TestListener,
  type TestOptions,
} from './testing.js'

afterEach(closeAll)

const MIB = 1_048_576
/** Kernel buffers of both sides of a loopback connection, at most, on Linux with its default settings. */
const KERNEL_BYTES = 16 * MIB

async function openPair(type: 'ws' | 'tcp', options: TestOptions = {}) {
  const test = await openListener({ type }, options)
  const socket = await openSocket(test.port)
  if (type === 'ws') {
    socket.write(handshakeHead(test.port))
    await once(socket, 'data')
  }
  return { ...test, socket, connection: await test.next() }
}

/** Turns of the event loop until nothing moves any more: bytes on loopback need no time, only turns. */
async function untilStill(figure: () => number): Promise<void> {
  for (let still = 0, last = -1; still < 200; still++) {
    if (figure() !== last) still = 0
    last = figure()
    await new Promise(setImmediate)
  }
}

function binaryFrame(length: number): Buffer {
  const frame = Buffer.alloc(14 + length)
  frame.set([0x82, 0xff])
  frame.writeBigUInt64BE(BigInt(length), 2)
  return frame
}

describe.each(['tcp', 'ws'] as const)('a paused %s connection', (type) => {
  it('holds the client back, and gets everything once resumed', async () => {
    const { socket, connection } = await openPair(type)
    connection.outbox.pause()
    const total = 64 * MIB
    const chunk = type === 'ws' ? binaryFrame(MIB) : Buffer.alloc(MIB)
    const overhead = chunk.length - MIB
    for (let i = 0; i < 64; i++) socket.write(chunk)
    await untilStill(() => socket.bytesWritten - socket.writableLength)
    expect(socket.writableLength).toBeGreaterThan(total - KERNEL_BYTES)
    expect(connection.receivedBytes).toBeLessThan(2 * 65_536)

    connection.pieces.length = 0
    connection.outbox.resume()
    await connection.until(() => {
      connection.pieces.length = 0
      return connection.receivedBytes === total
    })
    await untilStill(() => connection.receivedBytes)
    expect(connection.receivedBytes).toBe(total)
    expect(overhead).toBe(type === 'ws' ? 14 : 0)
  })

  it('may pause and resume at every piece', async () => {
    const { socket, connection } = await openPair(type)
    connection.onReceived = () => {
      connection.outbox.pause()
      setImmediate(() => connection.outbox.resume())
    }
    const frames = Array.from({ length: 200 }, () =>
      type === 'ws' ? binaryFrame(3_000) : Buffer.alloc(3_000),
    )
    for (const frame of frames) socket.write(frame)
    await connection.until(() => connection.receivedBytes === 600_000)
  })
})

describe.each(['tcp', 'ws'] as const)('a %s peer that does not read', (type) => {
  const limits = { outboxSoftBytes: 64 * 1024, outboxHardBytes: 256 * 1024, packetSize: 262_144 }

  function frozen(options: TestOptions = {}) {
    return openPair(type, { limits, ...options }).then((pair) => {
      pair.socket.pause()
      return pair
    })
  }

  /** Sends until the kernel takes no more, and then some. */
  async function fill(
    { connection, events }: { connection: RecordedConnection } & Pick<TestListener, 'events'>,
    droppable: boolean,
  ): Promise<number> {
    const message = Buffer.alloc(8_192)
    let sent = 0
    while (sent < 64 * MIB && connection.cause === undefined && events.droppedMessages < 100) {
      connection.outbox.send(message, droppable)
      sent += message.length
      if (sent % MIB === 0) await new Promise(setImmediate)
      if (!droppable && connection.outbox.congested) break
    }
    return sent
  }

  it('costs bounded memory: QoS 0 is dropped and counted, the newest is kept', async () => {
    const pair = await frozen()
    await fill(pair, true)
    const { connection, events, socket } = pair
    expect(events.droppedMessages).toBeGreaterThanOrEqual(100)
    expect(events.droppedBytes).toBe(events.droppedMessages * 8_192)
    expect(connection.outbox.pendingBytes).toBeLessThan(3 * 65_536)

    connection.outbox.send(Buffer.from('the newest'), true)
    const tail = tailOf(socket, 'the newest')
    socket.resume()
    await tail
  })

  it('is congested above the soft limit until it reads, then drained', async () => {
    const pair = await frozen()
    await fill(pair, false)
    const { connection, socket } = pair
    expect(connection.outbox.congested).toBe(true)
    expect(connection.drainedCount).toBe(0)
    socket.on('data', () => {})
    socket.resume()
    await connection.until(() => connection.drainedCount === 1)
    expect(connection.outbox.congested).toBe(false)
  })

  it('is closed as slow_receiver above the hard limit, without lingering', async () => {
    const clock = new ManualClock()
    const pair = await frozen({ clock, timeouts: { closeMs: 2_000 } })
    await fill(pair, false)
    const { connection } = pair
    for (let i = 0; i < 64; i++) connection.outbox.send(Buffer.alloc(8_192), false)
    expect(connection.outbox.pendingBytes).toBeLessThan(2 * 65_536)
    await new Promise(setImmediate)
    clock.advance(2_000)
    expect(await connection.untilClosed()).toBe('slow_receiver')
    expect(clock.pendingTimers).toBe(0)
  })

  it('is gone a bounded time after a close', async () => {
    const clock = new ManualClock()
    const pair = await frozen({ clock, timeouts: { closeMs: 2_000 } })
    await fill(pair, true)
    const { connection, listener } = pair
    connection.outbox.close('keep_alive_timeout')
    await new Promise(setImmediate)
    expect(connection.cause).toBeUndefined()
    clock.advance(2_000)
    expect(await connection.untilClosed()).toBe('keep_alive_timeout')
    expect(listener.connections).toBe(0)
  })
})

it('pings of a peer that does not read pongs cost bounded memory', async () => {
  const { socket, connection } = await openPair('ws')
  socket.pause()
  const ping = Buffer.concat([Buffer.of(0x89, 0xfd, 0, 0, 0, 0), Buffer.alloc(125)])
  const pings = Buffer.concat(Array.from({ length: 500 }, () => ping))
  for (let i = 0; i < 200; i++) {
    socket.write(pings)
    await new Promise(setImmediate)
  }
  await untilStill(() => socket.bytesWritten - socket.writableLength)
  expect(connection.outbox.pendingBytes).toBeLessThan(65_536)
})

function tailOf(socket: Socket, text: string): Promise<void> {
  return new Promise((resolve) => {
    let tail = ''
    socket.on('data', (chunk: Buffer) => {
      tail = (tail + chunk.toString('latin1')).slice(-2 * text.length)
      if (tail.endsWith(text)) resolve()
    })
  })
}
