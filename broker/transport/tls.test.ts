import { once } from 'node:events'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import type { GatewayError } from '../contract/errors.js'
import { loadTls } from './tls-context.js'
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

function testFile(name: string): string {
  // From the sources and from dist alike.
  return fileURLToPath(new URL(`testdata/${name}`, import.meta.url)).replace('/dist/', '/')
}

const files = { certFile: testFile('server.crt'), keyFile: testFile('server.key') }
const ca = await readFile(testFile('ca.crt'))
const clientCertificate = {
  cert: await readFile(testFile('client.crt')),
  key: await readFile(testFile('client.key')),
}
const strangersCertificate = {
  cert: await readFile(testFile('stranger.crt')),
  key: await readFile(testFile('stranger.key')),
}

async function openTls(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', ca, ...options })
  socket.on('error', () => {})
  closeAfterTest(() => void socket.destroy())
  await once(socket, 'secureConnect')
  return socket
}

describe('tls', () => {
  it('carries bytes both ways, many of them', async () => {
    const { port, url, next } = await openListener({ type: 'tls', tls: files })
    expect(url).toBe(`mqtts://127.0.0.1:${port}`)
    const socket = await openTls(port)
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251))
    socket.write(bytes)
    const connection = await next()
    expect(connection.info).toMatchObject({ transport: 'tls', remoteAddress: '127.0.0.1' })
    await connection.until(() => connection.receivedBytes === bytes.length)
    expect(Buffer.concat(connection.pieces).equals(bytes)).toBe(true)
    const answer = readToEnd(socket)
    for (let at = 0; at < bytes.length; at += 1_000)
      connection.outbox.send(bytes.subarray(at, at + 1_000), false)
    connection.outbox.close('administrative')
    expect(Buffer.from(await answer, 'latin1').equals(bytes)).toBe(true)
    expect(await connection.untilClosed()).toBe('administrative')
  })

  it('is spoken from version 1.2 on', async () => {
    const { port, events } = await openListener({ type: 'tls', tls: files })
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    await expect(openTls(port, old)).rejects.toThrow()
    const socket = await openTls(port, { maxVersion: 'TLSv1.2' })
    expect(socket.getProtocol()).toBe('TLSv1.2')
    expect(events.refused).toEqual(['tls_handshake'])
  })

  it('that fails is counted and disturbs nobody', async () => {
    const { port, events, next } = await openListener({ type: 'tls', tls: files })
    const plain = await openSocket(port)
    plain.write('\x10\x0c\0\x04MQTT this is not TLS at all')
    await readToEnd(plain)
    expect(events.refused).toEqual(['tls_handshake'])
    const socket = await openTls(port)
    socket.write('served')
    const connection = await next()
    await connection.until(() => connection.text === 'served')
  })

  it('does not wait for a peer that left while it was under way', async () => {
    const { port, listener } = await openListener({ type: 'tls', tls: files }, { clock: new ManualClock() })
    const socket = await openTls(port)
    socket.destroy()
    // The server has not seen the end of the handshake yet; with its clock standing still it could not give up.
    await listener.stop()
  })

  it('sends what is queued to a peer that has finished sending', async () => {
    const { port, next } = await openListener({ type: 'tls', tls: files })
    const socket = await openTls(port, { allowHalfOpen: true } as ConnectionOptions)
    const answer = readToEnd(socket)
    const connection = await next()
    connection.onReceived = () => connection.outbox.send(Buffer.from('answer'), false)
    socket.end('question')
    expect(await answer).toBe('answer')
    expect(await connection.untilClosed()).toBe('peer_closed')
  })

  it('has a time limit', async () => {
    const { port, events } = await openListener(
      { type: 'tls', tls: files },
      { timeouts: { handshakeMs: 50 } },
    )
    const silent = await openSocket(port)
    await readToEnd(silent)
    expect(events.refused).toEqual(['tls_handshake'])
  })
})

describe('wss', () => {
  it('carries WebSocket connections', async () => {
    const { url, next, port } = await openListener({ type: 'wss', tls: files })
    expect(url).toBe(`wss://127.0.0.1:${port}/mqtt`)
    const client = await openWebSocket(url, { ca })
    client.send(Buffer.from('up'))
    const connection = await next()
    await connection.until(() => connection.text === 'up')
    const message = once(client, 'message')
    connection.outbox.send(Buffer.alloc(100_000, 'x'), false)
    expect(((await message)[0] as Buffer).length).toBe(100_000)
    const seen = closeOf(client)
    connection.outbox.close('not_authorized')
    expect((await seen).code).toBe(1008)
    expect(await connection.untilClosed()).toBe('not_authorized')
  })
})

describe('client certificates', () => {
  const caFile = testFile('ca.crt')

  it('that are required are checked, and named', async () => {
    const { port, next, events } = await openListener({
      type: 'tls',
      tls: { ...files, caFile, clientCert: 'required' },
    })
    await openTls(port, clientCertificate)
    expect((await next()).info.certificateName).toBe('device-1')
    for (const options of [{}, strangersCertificate]) {
      // In TLS 1.3 the client learns of it only after its side of the handshake.
      const socket = await openTls(port, options)
      await readToEnd(socket)
    }
    expect(events.refused).toEqual(['tls_handshake', 'tls_handshake'])
    expect(events.opened).toBe(1)
  })

  it('that are optional are named only where they have been verified', async () => {
    const { port, next } = await openListener({
      type: 'tls',
      tls: { ...files, caFile, clientCert: 'optional' },
    })
    for (const [options, name] of [
      [clientCertificate, 'device-1'],
      [strangersCertificate, undefined],
      [{}, undefined],
    ] as const) {
      await openTls(port, options)
      expect((await next()).info.certificateName).toBe(name)
    }
  })
})

describe('the files', () => {
  async function faultOf(loading: Promise<unknown>): Promise<GatewayError> {
    const error = await failureOf(loading)
    expect(error.code).toBe('TLS_FILE_INVALID')
    return error
  }
  const missing = testFile('missing.pem')
  const script = testFile('create.sh')

  it.each([
    ['a missing certificate', { ...files, certFile: missing }, 'tls.certFile'],
    ['a missing key', { ...files, keyFile: missing }, 'tls.keyFile'],
    ['a certificate that is none', { ...files, certFile: script }, 'CERTIFICATE'],
    ['a key that is none', { ...files, keyFile: files.certFile }, 'PRIVATE KEY'],
    ['a key of another certificate', { ...files, keyFile: testFile('client.key') }, 'together'],
    ['a CA file that is none', { ...files, caFile: script }, 'tls.caFile'],
  ])('are tried out: %s', async (_what, tls, part) => {
    const error = await faultOf(loadTls('mqtts', { clientCert: 'none', ...tls }))
    expect(error.message).toContain('"mqtts"')
    expect(error.message).toContain(part)
    expect(error.hint).toBeDefined()
  })

  it('have to name the CA of client certificates', async () => {
    const error = await faultOf(loadTls('mqtts', { ...files, clientCert: 'required' }))
    expect(error.hint).toContain('tls.caFile')
  })

  it('can be read again; bad ones leave the old ones in use', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'openclaw-tls-'))
    closeAfterTest(() => rm(folder, { recursive: true }))
    const own = { certFile: join(folder, 'a.crt'), keyFile: join(folder, 'a.key') }
    await copyFile(files.certFile, own.certFile)
    await copyFile(files.keyFile, own.keyFile)
    const { listener, port } = await openListener({ type: 'tls', tls: own })
    expect((await openTls(port)).getPeerCertificate().subject.CN).toBe('localhost')

    await writeFile(own.certFile, 'nonsense')
    await faultOf(listener.reloadTls())
    expect((await openTls(port)).getPeerCertificate().subject.CN).toBe('localhost')

    await copyFile(testFile('client.crt'), own.certFile)
    await copyFile(testFile('client.key'), own.keyFile)
    await listener.reloadTls()
    const renewed = await openTls(port, { rejectUnauthorized: false })
    expect(renewed.getPeerCertificate().subject.CN).toBe('device-1')
  })
})
