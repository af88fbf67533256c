import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { ManualClock } from '../contract/testing/manual-clock.js'
import { closeAfterTest, closeAll, openListener, openSocket, proxyHeaderV2, readToEnd } from './testing.js'

afterEach(closeAll)

const behindProxy = { proxyProtocol: { trusted: ['127.0.0.0/8'] } }
const header = proxyHeaderV2({ address: '192.0.2.7', port: 4_000 })
const client = { remoteAddress: '192.0.2.7', remotePort: 4_000, loopback: false }

function testFile(name: string): string {
  // From the sources and from dist alike.
  return fileURLToPath(new URL(`testdata/${name}`, import.meta.url)).replace('/dist/', '/')
}

const tls = { certFile: testFile('server.crt'), keyFile: testFile('server.key') }
const ca = await readFile(testFile('ca.crt'))

/** A WebSocket over a socket that has begun with a header. */
async function openWebSocketOver(socket: Socket, scheme: 'ws' | 'wss'): Promise<WebSocket> {
  const webSocket = new WebSocket(`${scheme}://localhost/mqtt`, ['mqtt'], { createConnection: () => socket })
  webSocket.on('error', () => {})
  closeAfterTest(() => webSocket.terminate())
  await once(webSocket, 'open')
  return webSocket
}

async function openTlsOver(socket: Socket): Promise<Socket> {
  const secure = connectTls({ socket, ca, servername: 'localhost' })
  secure.on('error', () => {})
  await once(secure, 'secureConnect')
  return secure
}

describe('the address of the client comes through', () => {
  it('tcp, with bytes of MQTT in the same segment', async () => {
    const { port, next, events } = await openListener({ type: 'tcp', ...behindProxy })
    const socket = await openSocket(port)
    socket.write(Buffer.concat([header, Buffer.from('first')]))
    const connection = await next()
    expect(connection.info).toMatchObject(client)
    await connection.until(() => connection.text === 'first')
    socket.write(' second')
    await connection.until(() => connection.text === 'first second')
    connection.outbox.send(Buffer.from('down'), false)
    expect(String((await once(socket, 'data'))[0])).toBe('down')
    expect([events.refused, events.received]).toEqual([[], 12])
  })

  it('tls: the header goes ahead of the handshake', async () => {
    const { port, next } = await openListener({ type: 'tls', tls, ...behindProxy })
    const socket = await openSocket(port)
    socket.write(header)
    const secure = await openTlsOver(socket)
    secure.write('secret')
    const connection = await next()
    expect(connection.info).toMatchObject({ ...client, transport: 'tls' })
    await connection.until(() => connection.text === 'secret')
  })

  it('tls, with the ClientHello in the same segment', async () => {
    const { port, next } = await openListener({ type: 'tls', tls, ...behindProxy })
    const socket = await openSocket(port)
    socket.cork()
    socket.write(header)
    const opening = openTlsOver(socket)
    setImmediate(() => socket.uncork())
    const secure = await opening
    secure.write('secret')
    const connection = await next()
    await connection.until(() => connection.text === 'secret')
  })

  it.each(['ws', 'wss'] as const)('%s, ahead of the request', async (type) => {
    const { port, next } = await openListener({
      type,
      ...(type === 'wss' && { tls }),
      ...behindProxy,
    })
    const socket = await openSocket(port)
    socket.write(header)
    const stream = type === 'ws' ? socket : await openTlsOver(socket)
    const webSocket = await openWebSocketOver(stream, type)
    const connection = await next()
    expect(connection.info).toMatchObject({ ...client, transport: type })
    webSocket.send(Buffer.from('frame'))
    await connection.until(() => connection.text === 'frame')
  })

  it('version 1, in pieces', async () => {
    const { port, next } = await openListener({ type: 'tcp', ...behindProxy })
    const socket = await openSocket(port)
    for (const character of 'PROXY TCP4 192.0.2.7 127.0.0.1 4000 1883\r\n') {
      socket.write(character)
      await new Promise(setImmediate)
    }
    expect((await next()).info).toMatchObject(client)
  })
})

it('leaves the hot path as it is: connections read into one buffer that they share', async () => {
  const { port, next } = await openListener({ type: 'tcp', ...behindProxy })
  const memory = new Set<ArrayBufferLike>()
  for (let opened = 0; opened < 2; opened++) {
    const socket = await openSocket(port)
    socket.write(header)
    const connection = await next()
    connection.onReceived = (bytes) => memory.add(bytes.buffer)
    socket.write('once')
    await connection.until(() => connection.receivedBytes === 4)
    socket.write('more')
    await connection.until(() => connection.receivedBytes === 8)
  }
  expect(memory.size).toBe(1)
})

describe('a local client', () => {
  it.each([
    ['is one that a proxy on this machine reports as such', '127.0.0.1', true],
    ['is nobody else behind such a proxy', '192.0.2.7', false],
  ])('%s', async (_title, address, loopback) => {
    const { port, next } = await openListener({ type: 'tcp', ...behindProxy })
    const socket = await openSocket(port)
    socket.write(proxyHeaderV2({ address, port: 1 }))
    expect((await next()).info).toMatchObject({ remoteAddress: address, loopback })
  })

  it('is not whom the proxy cannot name, nor the proxy itself', async () => {
    const { port, next } = await openListener({ type: 'tcp', ...behindProxy })
    const unknown = await openSocket(port)
    unknown.write('PROXY UNKNOWN\r\n')
    expect((await next()).info).toMatchObject({ remoteAddress: '127.0.0.1', loopback: false })
    const local = Buffer.from(header)
    local[12] = 0x20
    const check = await openSocket(port)
    check.write(local)
    expect((await next()).info).toMatchObject({ remoteAddress: '127.0.0.1', loopback: false })
  })
})

describe('refused is', () => {
  it('whoever is not trusted, whatever it sends', async () => {
    const { port, events, connections } = await openListener({
      type: 'tcp',
      proxyProtocol: { trusted: ['10.0.0.0/8', 'fd00::/8', '192.0.2.1'] },
    })
    const socket = await openSocket(port)
    socket.write(header)
    expect(await readToEnd(socket)).toBe('')
    expect([events.refused, connections.length]).toEqual([['untrusted_proxy'], 0])
  })

  it.each(['tcp', 'tls', 'ws', 'wss'] as const)('a connection without a header: %s', async (type) => {
    const { port, events, connections } = await openListener({
      type,
      ...((type === 'tls' || type === 'wss') && { tls }),
      ...behindProxy,
    })
    const socket = await openSocket(port)
    socket.write('GET /mqtt HTTP/1.1\r\nHost: localhost\r\n\r\n')
    expect(await readToEnd(socket)).toBe('')
    expect([events.refused, connections.length]).toEqual([['proxy_header'], 0])
  })

  it('a header that does not come in time', async () => {
    const clock = new ManualClock()
    const { port, events } = await openListener(
      { type: 'tcp', ...behindProxy },
      { clock, timeouts: { handshakeMs: 5_000 } },
    )
    const socket = await openSocket(port)
    socket.write(header.subarray(0, 20))
    while (clock.pendingTimers === 0) await new Promise(setImmediate)
    clock.advance(5_000)
    expect(await readToEnd(socket)).toBe('')
    expect(events.refused).toEqual(['handshake_timeout'])
    expect(clock.pendingTimers).toBe(0)
  })

  it('a header that ends midway; a connection that only looks whether the port is open is not counted', async () => {
    const { port, events } = await openListener({ type: 'tcp', ...behindProxy })
    const looking = await openSocket(port)
    looking.end()
    await readToEnd(looking)
    expect(events.refused).toEqual([])
    const socket = await openSocket(port)
    socket.end(header.subarray(0, 20))
    await readToEnd(socket)
    expect(events.refused).toEqual(['proxy_header'])
  })

  it('a bad TLS handshake, under the address of the client', async () => {
    const addresses: string[] = []
    const { port, events } = await openListener({ type: 'tls', tls, ...behindProxy })
    const count = events.connectionRefused.bind(events)
    events.connectionRefused = (listener, address, reason) => {
      addresses.push(address)
      count(listener, address, reason)
    }
    const socket = await openSocket(port)
    socket.write(Buffer.concat([header, Buffer.from('this is no ClientHello')]))
    await readToEnd(socket)
    expect([events.refused, addresses]).toEqual([['tls_handshake'], ['192.0.2.7']])
  })
})

it('stops without waiting for headers', async () => {
  const clock = new ManualClock()
  const { port, listener } = await openListener({ type: 'tcp', ...behindProxy }, { clock })
  await openSocket(port)
  while (clock.pendingTimers === 0) await new Promise(setImmediate)
  await listener.stop()
  expect(clock.pendingTimers).toBe(0)
})

it('survives any bytes', async () => {
  const { port, events } = await openListener({ type: 'tcp', ...behindProxy })
  const hostile = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 300 }),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.concat([header.subarray(0, 12), bytes])),
    fc.string({ unit: 'binary', maxLength: 200 }).map((text) => Buffer.from(`PROXY ${text}\r\n`)),
  )
  await fc.assert(
    fc.asyncProperty(hostile, async (bytes) => {
      const socket = await openSocket(port)
      const ended = readToEnd(socket)
      socket.end(bytes)
      await ended
    }),
    { numRuns: 100 },
  )
  expect(events.defects).toEqual([])
})
