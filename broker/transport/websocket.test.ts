import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { inspect } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { CloseCause } from '../contract/transport.js'
import { webSocketCloses } from './close-codes.js'
import { ManualClock } from '../contract/testing/manual-clock.js'
import {
  closeAfterTest,
  closeAll,
  closeOf,
  handshakeHead,
  openListener,
  openSocket,
  openWebSocket,
  readToEnd,
} from './testing.js'

afterEach(closeAll)

/** A socket that waits for its first request has a deadline. */
async function untilAdmitted(clock: ManualClock): Promise<void> {
  while (clock.pendingTimers === 0) await new Promise(setImmediate)
}

/** A masked frame; the mask is zero, so that the payload stays readable. */
function frame(opcode: number, payload: string, fin = true): Buffer {
  return Buffer.concat([
    Buffer.of((fin ? 0x80 : 0) | opcode, 0x80 | payload.length, 0, 0, 0, 0),
    Buffer.from(payload, 'latin1'),
  ])
}

describe('the handshake', () => {
  it('chooses the subprotocol and hands on the token', async () => {
    const { url, next } = await openListener({ type: 'ws' })
    const client = new WebSocket(`${url}?token=t1`, ['amqp', 'mqttv3.1', 'mqtt'])
    closeAfterTest(() => client.terminate())
    await once(client, 'open')
    expect(client.protocol).toBe('mqttv3.1')
    const { info } = await next()
    expect(info).toMatchObject({
      listener: 'test',
      transport: 'ws',
      remoteAddress: '127.0.0.1',
      loopback: true,
      certificateName: undefined,
    })
    expect(info.bearerToken).toBe('t1')
    expect(JSON.stringify(info) + inspect(info)).not.toContain('t1')
  })

  it.each([
    ['no subprotocol', { 'Sec-WebSocket-Protocol': undefined }, 'GET /mqtt HTTP/1.1', '400', 'subprotocol'],
    ['a foreign page', { Origin: 'https://evil.example' }, 'GET /mqtt HTTP/1.1', '403', 'origin'],
    ['another path', {}, 'GET /other?token=geheim HTTP/1.1', '404', 'unknown_path'],
    ['a POST', {}, 'POST /mqtt HTTP/1.1', '405', 'bad_request'],
    ['version 8', { 'Sec-WebSocket-Version': '8' }, 'GET /mqtt HTTP/1.1', '426', 'bad_request'],
  ])('answers %s with an error that says why', async (_what, headers, line, status, reason) => {
    const { port, events, connections } = await openListener({ type: 'ws' })
    const socket = await openSocket(port)
    socket.write(handshakeHead(port, headers, line))
    const response = await readToEnd(socket)
    expect(response).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(response.split('\r\n\r\n')[1]?.length).toBeGreaterThan(20)
    expect(response).not.toContain('geheim')
    expect(events.refused).toEqual([reason])
    expect(connections).toHaveLength(0)
  })

  it('may be followed by frames in the same packet', async () => {
    const { port, next } = await openListener({ type: 'ws' })
    const socket = await openSocket(port)
    socket.write(Buffer.concat([Buffer.from(handshakeHead(port)), frame(2, 'early')]))
    const connection = await next()
    await connection.until(() => connection.receivedBytes === 5)
    expect(connection.text).toBe('early')
  })

  it('is refused while the listener shuts down, on sockets that are open already', async () => {
    const clock = new ManualClock()
    const { listener, port, events } = await openListener({ type: 'ws' }, { clock })
    const socket = await openSocket(port)
    socket.write('GET /mqtt HTTP/1.1\r\n')
    await untilAdmitted(clock)
    const answered = readToEnd(socket)
    listener.stopAccepting()
    socket.write(handshakeHead(port).replace(/^.*\r\n/, ''))
    expect(await answered).toMatch(/^HTTP\/1.1 503 /)
    expect(events.refused).toEqual(['shutting_down'])
  })
})

describe('requests that are no upgrade', () => {
  it('get 426 at the endpoint and 404 elsewhere', async () => {
    const { port } = await openListener({ type: 'ws' })
    const endpoint = await fetch(`http://127.0.0.1:${port}/mqtt?x`)
    expect(endpoint.status).toBe(426)
    const other = await fetch(`http://127.0.0.1:${port}/`)
    expect([other.status, await other.text()]).toEqual([404, expect.stringContaining('/mqtt')])
  })

  it('go to the handler where there is one', async () => {
    const { port } = await openListener(
      { type: 'ws' },
      { handleRequest: (request, response) => response.end(`page ${request.url ?? ''}`) },
    )
    expect(await (await fetch(`http://127.0.0.1:${port}/index.html`)).text()).toBe('page /index.html')
    expect((await fetch(`http://127.0.0.1:${port}/mqtt`)).status).toBe(426)
  })

  it('that are no HTTP are refused and counted', async () => {
    const { port, events } = await openListener({ type: 'ws' })
    const socket = await openSocket(port)
    socket.write('\x10\x0c\0\x04MQTT\r\n\r\n')
    expect(await readToEnd(socket)).toMatch(/^HTTP\/1.1 400 /)
    expect(events.refused).toEqual(['bad_request'])
  })
})

describe('time before the upgrade', () => {
  const timeouts = { handshakeMs: 10_000, responseMs: 60_000 }

  it('is bounded: a head that comes drop by drop is cut off', async () => {
    const clock = new ManualClock()
    const { port, events } = await openListener({ type: 'ws' }, { clock, timeouts })
    const socket = await openSocket(port)
    socket.write('GET /mqtt HTTP/1.1\r\nHost: x\r\n')
    const ended = readToEnd(socket)
    await untilAdmitted(clock)
    clock.advance(10_000)
    expect(await ended).toBe('')
    expect(events.refused).toEqual(['handshake_timeout'])
  })

  it('starts anew after a request, and a request has its own', async () => {
    const clock = new ManualClock()
    const requests: string[] = []
    const { port, events } = await openListener(
      { type: 'ws' },
      {
        clock,
        timeouts,
        handleRequest: ({ url = '' }, response) => {
          requests.push(url)
          if (url === '/fast') response.end()
        },
      },
    )
    const socket = await openSocket(port)
    socket.write('GET /fast HTTP/1.1\r\nHost: x\r\n\r\n')
    await once(socket, 'data')
    clock.advance(9_000)
    socket.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n')
    while (requests.length < 2) await new Promise(setImmediate)
    clock.advance(59_000)
    expect(events.refused).toEqual([])
    const ended = readToEnd(socket)
    clock.advance(1_000)
    await ended
    expect(events.refused).toEqual(['handshake_timeout'])
  })

  it('ends without a refusal when nothing more is asked for', async () => {
    const clock = new ManualClock()
    let answered: Promise<unknown> | undefined
    const handleRequest: RequestListener = (_request, response) => {
      answered = once(response, 'close')
      response.end('here')
    }
    const { port, events } = await openListener({ type: 'ws' }, { clock, timeouts, handleRequest })
    const socket = await openSocket(port)
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await once(socket, 'data')
    await answered
    const ended = readToEnd(socket)
    clock.advance(10_000)
    await ended
    expect(events.refused).toEqual([])
  })

  it('is no longer counted for a WebSocket', async () => {
    const clock = new ManualClock()
    const { url, next } = await openListener({ type: 'ws' }, { clock, timeouts })
    await openWebSocket(url)
    await next()
    expect(clock.pendingTimers).toBe(0)
  })
})

describe('bytes', () => {
  it('go both ways, whatever the frames', async () => {
    const { url, next, events } = await openListener({ type: 'ws' })
    const client = await openWebSocket(url)
    const connection = await next()
    const sent = Buffer.from(Array.from({ length: 200_000 }, (_, i) => i % 253))
    client.send(sent.subarray(0, 1))
    client.send(sent.subarray(1, 70_000), { fin: false })
    client.ping()
    client.send(sent.subarray(70_000, 70_000), { fin: false })
    client.send(sent.subarray(70_000))
    await connection.until(() => connection.receivedBytes === sent.length)
    expect(Buffer.concat(connection.pieces).equals(sent)).toBe(true)

    const back: Buffer[] = []
    client.on('message', (data: Buffer) => back.push(data))
    for (const size of [1, 200, 70_000, 129_799]) connection.outbox.send(sent.subarray(0, size), false)
    while (back.reduce((sum, part) => sum + part.length, 0) < 200_000) await once(client, 'message')
    const expected = [1, 200, 70_000, 129_799].map((size) => sent.subarray(0, size))
    expect(Buffer.concat(back).equals(Buffer.concat(expected))).toBe(true)
    expect(events.received).toBeGreaterThan(200_000)
    expect(events.sent).toBeGreaterThan(200_000)
  })

  it('of one turn leave as one binary frame', async () => {
    const { url, next } = await openListener({ type: 'ws' })
    const client = await openWebSocket(url)
    const { outbox } = await next()
    for (const text of ['one', 'two', 'three']) outbox.send(Buffer.from(text), true)
    const [data, isBinary] = (await once(client, 'message')) as [Buffer, boolean]
    expect([data.toString(), isBinary]).toEqual(['onetwothree', true])
  })

  it('may come one a frame and one a packet', async () => {
    const { port, next } = await openListener({ type: 'ws' })
    const socket = await openSocket(port)
    socket.setNoDelay(true)
    socket.write(handshakeHead(port))
    const connection = await next()
    for (const byte of 'one byte a frame') for (const octet of frame(2, byte)) socket.write(Buffer.of(octet))
    await connection.until(() => connection.receivedBytes === 16)
    expect(connection.text).toBe('one byte a frame')
  })

  it('that are equal for many leave as they are for each', async () => {
    const { url, next } = await openListener({ type: 'ws' })
    const clients = await Promise.all(Array.from({ length: 5 }, () => openWebSocket(url)))
    const outboxes = (await Promise.all(clients.map(() => next()))).map(({ outbox }) => outbox)
    const shared = Buffer.from('for all ')
    const received = clients.map((client) => once(client, 'message'))
    outboxes.forEach((outbox, i) => {
      outbox.send(shared, true)
      if (i === 2) outbox.send(Buffer.from('and one'), true)
    })
    const texts = (await Promise.all(received)).map(([data]) => String(data))
    expect(texts.filter((text) => text === 'for all ')).toHaveLength(4)
    expect(texts.filter((text) => text === 'for all and one')).toHaveLength(1)
  })
})

describe('ping', () => {
  it('is answered with its payload', async () => {
    const { url } = await openListener({ type: 'ws' })
    const client = await openWebSocket(url)
    client.ping('are you there')
    expect(String((await once(client, 'pong'))[0])).toBe('are you there')
  })

  it('in bulk gets one answer a read, and an unmasked pong is fine in between', async () => {
    const { port, next } = await openListener({ type: 'ws' })
    const socket = await openSocket(port)
    socket.write(handshakeHead(port))
    const connection = await next()
    await once(socket, 'data')
    const answers = readToEnd(socket)
    const pong = Buffer.of(0x8a, 1, 0x70).toString('latin1')
    socket.write(
      Buffer.concat([...Array.from({ length: 1_000 }, () => frame(9, 'p')), frame(10, ''), frame(8, '')]),
    )
    socket.end()
    expect(await connection.untilClosed()).toBe('peer_closed')
    expect((await answers).split(pong).length - 1).toBeLessThan(10)
  })
})

describe('closing', () => {
  it.each(Object.entries(webSocketCloses) as [CloseCause, { code: number; reason: string }][])(
    'for %s tells the client',
    async (cause, close) => {
      const { url, next, events } = await openListener({ type: 'ws' })
      const client = await openWebSocket(url)
      const connection = await next()
      connection.outbox.send(Buffer.from('last words'), false)
      connection.outbox.close(cause)
      const message = once(client, 'message')
      const seen = closeOf(client)
      expect(await seen).toEqual(close)
      expect(await connection.untilClosed()).toBe(cause)
      expect(events.closed).toEqual([cause])
      if (cause !== 'slow_receiver') expect(String((await message)[0])).toBe('last words')
    },
  )

  it('by the client is answered with its code', async () => {
    const { url, next } = await openListener({ type: 'ws' })
    const client = await openWebSocket(url)
    const connection = await next()
    const seen = closeOf(client)
    client.close(4_001, 'done')
    expect(await seen).toEqual({ code: 4_001, reason: '' })
    expect(await connection.untilClosed()).toBe('peer_closed')
  })

  it.each([
    ['text', frame(1, 'hello'), 1003],
    ['an unmasked frame', Buffer.of(0x82, 0x01, 0x00), 1002],
    ['reserved bits', frame(0x42, ''), 1002],
    ['a reserved opcode', frame(5, ''), 1002],
    ['a fragmented ping', frame(9, '', false), 1002],
    ['a bad close payload', frame(8, 'x'), 1002],
    ['garbage', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 1002],
  ])('because of %s hands on what came before and says why', async (_what, bytes, code) => {
    const { port, next } = await openListener({ type: 'ws' })
    const socket = await openSocket(port)
    socket.write(handshakeHead(port))
    const connection = await next()
    await once(socket, 'data')
    const answer = readToEnd(socket)
    socket.write(Buffer.concat([frame(2, 'before'), bytes, frame(2, 'behind')]))
    const received = Buffer.from(await answer, 'latin1')
    expect([received[0], received.readUInt16BE(2)]).toEqual([0x88, code])
    socket.end()
    expect(await connection.untilClosed()).toBe('protocol_error')
    expect(connection.text).toBe('before')
  })

  it('without a closing handshake is a closed peer', async () => {
    const { url, next } = await openListener({ type: 'ws' })
    const client = await openWebSocket(url)
    const connection = await next()
    client.terminate()
    expect(['peer_closed', 'socket_error']).toContain(await connection.untilClosed())
  })

  it('does not wait for the close frame of a peer that is silent', async () => {
    const clock = new ManualClock()
    const { port, next } = await openListener({ type: 'ws' }, { clock, timeouts: { closeMs: 2_000 } })
    const socket = await openSocket(port)
    socket.write(handshakeHead(port))
    const connection = await next()
    await once(socket, 'data')
    connection.outbox.close('taken_over')
    await once(socket, 'data')
    expect(connection.cause).toBeUndefined()
    clock.advance(2_000)
    expect(await connection.untilClosed()).toBe('taken_over')
  })
})

describe('compression', () => {
  const options = { perMessageDeflate: { threshold: 0 } }

  it('is not negotiated unless configured', async () => {
    const { url } = await openListener({ type: 'ws' })
    expect((await openWebSocket(url, options)).extensions).toBe('')
  })

  it('carries bytes both ways without context takeover', async () => {
    const { url, next, events } = await openListener({ type: 'ws', compression: true })
    const client = await openWebSocket(url, options)
    expect(client.extensions).toBe('permessage-deflate')
    const connection = await next()
    const bytes = Buffer.alloc(50_000, 'compressible ')
    client.send(bytes)
    await connection.until(() => connection.receivedBytes === bytes.length)
    connection.outbox.send(bytes.subarray(0, 20_000), false)
    connection.outbox.send(bytes.subarray(20_000), false)
    const parts: Buffer[] = []
    client.on('message', (data: Buffer) => parts.push(data))
    while (parts.reduce((sum, part) => sum + part.length, 0) < bytes.length) await once(client, 'message')
    expect(Buffer.concat(parts).equals(bytes)).toBe(true)
    expect(events.received).toBeLessThan(5_000)
    const seen = closeOf(client)
    connection.outbox.close('server_shutdown')
    expect((await seen).code).toBe(1001)
    expect(await connection.untilClosed()).toBe('server_shutdown')
  })

  it('serves clients that do not offer it, or want a smaller window, without', async () => {
    const { url, next } = await openListener({ type: 'ws', compression: true })
    expect((await openWebSocket(url)).extensions).toBe('')
    expect((await openWebSocket(url, { perMessageDeflate: { serverMaxWindowBits: 9 } })).extensions).toBe('')
    await next()
    await next()
  })

  it('refuses text, and a message that inflates beyond the bound', async () => {
    const { url, next } = await openListener({ type: 'ws', compression: true })
    const text = await openWebSocket(url, options)
    const textClosed = closeOf(text)
    text.send('hello')
    expect((await textClosed).code).toBe(1003)
    expect(await (await next()).untilClosed()).toBe('protocol_error')
    const bomb = await openWebSocket(url, options)
    const bombClosed = closeOf(bomb)
    bomb.send(Buffer.alloc(20_000_000))
    expect((await bombClosed).code).toBe(1009)
    expect(await (await next()).untilClosed()).toBe('packet_too_large')
  })
})
