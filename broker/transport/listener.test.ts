import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { isLoopbackAddress } from '../contract/loopback.js'
import { normalizeAddress } from './address.js'
import { ManualClock } from '../contract/testing/manual-clock.js'
import {
  closeAfterTest,
  closeAll,
  closeOf,
  failureOf,
  openListener,
  openSocket,
  openWebSocket,
  readToEnd,
} from './testing.js'

afterEach(closeAll)

describe('the address', () => {
  it('is the actual one', async () => {
    const { listener, port, events } = await openListener({ type: 'tcp' })
    expect(port).toBeGreaterThan(0)
    expect(listener.address()).toEqual({ host: '127.0.0.1', port, url: `mqtt://127.0.0.1:${port}` })
    expect(events.addresses).toEqual([`mqtt://127.0.0.1:${port}`])
    const { listener: web } = await openListener({ type: 'ws', path: '/live' })
    expect(web.address().url).toBe(`ws://127.0.0.1:${web.address().port}/live`)
  })

  it('in use is said with listener, address and what to do', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    closeAfterTest(() => void other.close())
    const address = other.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const error = await failureOf(openListener({ type: 'ws', name: 'web', port }))
    expect(error.code).toBe('ADDRESS_IN_USE')
    expect(error.message).toContain(`"web": 127.0.0.1:${port}`)
    expect(error.hint).toContain('another port')
  })

  it('of another machine is said so', async () => {
    const error = await failureOf(openListener({ type: 'tcp', host: '192.0.2.1' }))
    expect(error.code).toBe('ADDRESS_UNAVAILABLE')
    expect(error.message).toContain('192.0.2.1:0')
  })

  it('of a peer is normalized', () => {
    expect(normalizeAddress('::ffff:192.0.2.1')).toBe('192.0.2.1')
    expect(normalizeAddress('2001:db8::1')).toBe('2001:db8::1')
    expect(isLoopbackAddress(normalizeAddress('::ffff:127.0.0.1'))).toBe(true)
    expect(isLoopbackAddress('192.0.2.1')).toBe(false)
  })
})

describe('tcp', () => {
  it('carries bytes both ways', async () => {
    const { port, next, events, listener } = await openListener({ type: 'tcp' })
    const socket = await openSocket(port)
    socket.write('up')
    const connection = await next()
    await connection.until(() => connection.receivedBytes === 2)
    connection.outbox.send(Buffer.from('do'), false)
    connection.outbox.send(Buffer.from('wn'), true)
    expect(String((await once(socket, 'data'))[0])).toBe('down')
    expect([events.received, events.sent, listener.connections]).toEqual([2, 4, 1])
    expect(connection.info).toMatchObject({ transport: 'tcp', loopback: true, bearerToken: undefined })
  })

  it('sends what is queued to a peer that has finished sending', async () => {
    const { port, next } = await openListener({ type: 'tcp' })
    const socket = await openSocket(port)
    const answer = readToEnd(socket)
    const connection = await next()
    connection.onReceived = () => connection.outbox.send(Buffer.from('answer'), false)
    socket.end('question')
    expect(await answer).toBe('answer')
    expect(await connection.untilClosed()).toBe('peer_closed')
  })

  it('ends a connection after its last bytes', async () => {
    const { port, next } = await openListener({ type: 'tcp' })
    const socket = await openSocket(port)
    const answer = readToEnd(socket)
    const connection = await next()
    connection.outbox.send(Buffer.from('bye'), false)
    connection.outbox.close('administrative')
    expect(await answer).toBe('bye')
    socket.end()
    expect(await connection.untilClosed()).toBe('administrative')
  })

  it('notices a reset', async () => {
    const { port, next, listener } = await openListener({ type: 'tcp' })
    const socket = await openSocket(port)
    const connection = await next()
    socket.resetAndDestroy()
    expect(await connection.untilClosed()).toBe('socket_error')
    expect(listener.connections).toBe(0)
  })
})

describe('a defect in a handler', () => {
  it('costs one connection, not the process', async () => {
    const { url, next, events } = await openListener({ type: 'ws' })
    const client = await openWebSocket(url)
    const other = await openWebSocket(url)
    const [connection, unharmed] = [await next(), await next()]
    connection.onReceived = () => {
      throw new Error('defect')
    }
    const seen = closeOf(client)
    client.send(Buffer.from('x'))
    expect((await seen).code).toBe(1011)
    expect(events.defects).toEqual([new Error('defect')])
    other.send(Buffer.from('y'))
    await unharmed.until(() => unharmed.receivedBytes === 1)
  })

  it('that accepts connections too', async () => {
    const { port, events } = await openListener(
      { type: 'tcp' },
      {
        onConnection: () => {
          throw new Error('defect')
        },
      },
    )
    const socket = await openSocket(port)
    const ended = readToEnd(socket)
    socket.end()
    await ended
    expect(events.defects).toHaveLength(1)
    expect(events.opened).toBe(1)
  })
})

describe('the number of connections', () => {
  it('is bounded; a place that becomes free is given away again', async () => {
    const { port, next, events } = await openListener({ type: 'tcp', maxConnections: 1 })
    const first = await openSocket(port)
    const connection = await next()
    const refused = await openSocket(port)
    expect(await readToEnd(refused)).toBe('')
    expect(events.refused).toEqual(['too_many_connections'])
    first.end()
    await connection.untilClosed()
    const second = await openSocket(port)
    second.write('in')
    const admitted = await next()
    await admitted.until(() => admitted.receivedBytes === 2)
  })
})

describe('stop', () => {
  it('tells the clients, and may be called twice', async () => {
    const web = await openListener({ type: 'ws' })
    const client = await openWebSocket(web.url)
    const connection = await web.next()
    const seen = closeOf(client)
    const stopped = web.listener.stop()
    expect(web.listener.stop()).toBe(stopped)
    expect(await seen).toMatchObject({ code: 1001 })
    await stopped
    expect(connection.cause).toBe('server_shutdown')
    await expect(openSocket(web.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('does not wait for peers that do not close, nor for idle HTTP sockets', async () => {
    const clock = new ManualClock()
    const timeouts = { closeMs: 5_000, shutdownMs: 3_000 }
    const { listener, port, next } = await openListener({ type: 'tcp' }, { clock, timeouts })
    await openSocket(port)
    const connection = await next()
    const stopped = listener.stop()
    clock.advance(2_999)
    expect(connection.cause).toBeUndefined()
    clock.advance(1)
    await stopped
    expect(connection.cause).toBe('server_shutdown')
    expect(clock.pendingTimers).toBe(0)

    const web = await openListener({ type: 'ws' }, { clock, timeouts })
    await openSocket(web.port)
    while (clock.pendingTimers === 0) await new Promise(setImmediate)
    await web.listener.stop()
    expect(clock.pendingTimers).toBe(0)
  })

  it('can be had in two steps: first no new connections', async () => {
    const { listener, port, next } = await openListener({ type: 'tcp' })
    const socket = await openSocket(port)
    const connection = await next()
    listener.stopAccepting()
    await expect(openSocket(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    socket.write('still here')
    await connection.until(() => connection.receivedBytes === 10)
  })
})
