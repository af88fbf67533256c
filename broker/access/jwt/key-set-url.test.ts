import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair } from 'jose'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { ManualClock } from '../../contract/testing/manual-clock.js'
import { RecordedEvents, settled } from '../testing.js'
import { KeySetUrl } from './key-set-url.js'

const header = (kid: string) => ({ alg: 'ES256', kid })
const token = { payload: '', signature: '' }
let first: string
let both: string

beforeAll(async () => {
  const keys = await Promise.all(
    ['1', '2'].map(async (kid) => {
      const { publicKey } = await generateKeyPair('ES256', { extractable: true })
      return { ...(await exportJWK(publicKey)), kid }
    }),
  )
  first = JSON.stringify({ keys: keys.slice(0, 1) })
  both = JSON.stringify({ keys })
})

/** A key server that answers as the test says and counts the requests. */
function setUp() {
  const clock = new ManualClock()
  const events = new RecordedEvents()
  const server = { requests: 0, answer: (): Promise<Response> | Response => new Response(first) }
  const keys = new KeySetUrl('idp', 'https://id.example/keys?secret=x', ['ES256'], {
    clock,
    events,
    fetch: async () => {
      server.requests++
      return server.answer()
    },
  })
  const away = () => {
    throw new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') })
  }
  return { clock, events, server, keys, away }
}

describe('a key set behind a URL', () => {
  it('is fetched at the start and every ten minutes', async () => {
    const { keys, server, clock, events } = setUp()
    await keys.open()
    expect(await keys.keyFor(header('1'), token)).toMatchObject({ type: 'public' })
    expect(keys.readiness()).toEqual({ ready: true })
    server.answer = () => new Response(both)
    clock.advance(599_999)
    expect(server.requests).toBe(1)
    clock.advance(1)
    // Waits for the request that is under way.
    await keys.keyFor(header('2'), token)
    expect(server.requests).toBe(2)
    expect(events.lines).toEqual(['keys idp: 1', 'keys idp: 2'])
    await keys.close()
    expect(clock.pendingTimers).toBe(0)
  })

  it('is fetched again for a key that it does not have, at most every 30 s', async () => {
    const { keys, server, clock } = setUp()
    await keys.open()
    await expect(keys.keyFor(header('2'), token)).rejects.toMatchObject({ code: 'ERR_JWKS_NO_MATCHING_KEY' })
    expect(server.requests).toBe(1)
    clock.advance(30_000)
    server.answer = () => new Response(both)
    const found = await Promise.all([keys.keyFor(header('2'), token), keys.keyFor(header('2'), token)])
    expect(found).toHaveLength(2)
    expect(server.requests).toBe(2)
    for (let i = 0; i < 5; i++)
      await expect(keys.keyFor(header(`made up ${i}`), token)).rejects.toMatchObject({
        code: 'ERR_JWKS_NO_MATCHING_KEY',
      })
    expect(server.requests).toBe(2)
    await keys.close()
  })

  it('lets the gateway start without, and is asked for with growing pauses until it comes', async () => {
    const { keys, server, clock, events, away } = setUp()
    server.answer = away
    await keys.open()
    expect(keys.readiness()).toMatchObject({ ready: false })
    await expect(keys.keyFor(header('1'), token)).rejects.toMatchObject({ code: 'KEYS_UNREADABLE' })
    for (let i = 0; i < 8; i++) {
      clock.advance(60_000)
      await settled()
    }
    expect(events.lines[0]).toBe(
      'unavailable idp: https://id.example/keys: fetch failed: connect ECONNREFUSED; 0 held, again in 1000 ms',
    )
    expect(events.lines.map((line) => /again in (\d+)/.exec(line)?.[1]).slice(0, 8)).toEqual([
      '1000',
      '2000',
      '4000',
      '8000',
      '16000',
      '32000',
      '60000',
      '60000',
    ])
    server.answer = () => new Response(first)
    clock.advance(60_000)
    await keys.keyFor(header('1'), token)
    expect(keys.readiness()).toEqual({ ready: true })
    await keys.close()
  })

  it('keeps the keys that it has while the URL is away', async () => {
    const { keys, server, clock, events, away } = setUp()
    await keys.open()
    server.answer = away
    for (let day = 0; day < 3; day++) {
      clock.advance(600_000)
      await settled()
    }
    expect(events.lines.at(-1)).toMatch(/1 held/)
    await keys.keyFor(header('1'), token)
    await keys.close()
  })

  it.each([
    ['another status', () => new Response(first, { status: 404 }), /status 404/],
    ['no JSON', () => new Response('<html>'), /is not JSON/],
    ['no usable key', () => new Response('{"keys":[]}'), /no key/],
    ['no end', () => new Response('x'.repeat(1_048_577)), /more than 1048576 bytes/],
  ])('takes an answer with %s for none', async (_, answer, message) => {
    const { keys, server, clock, events } = setUp()
    await keys.open()
    server.answer = answer
    clock.advance(600_000)
    await expect.poll(() => events.lines.at(-1)).toMatch(message)
    await keys.keyFor(header('1'), token)
    await keys.close()
  })

  it('does not wait longer than 5 s, nor for an answer after it was closed', async () => {
    const { keys, server, clock, events } = setUp()
    server.answer = () => new Promise(() => {})
    const opened = keys.open()
    await settled()
    clock.advance(5_000)
    await opened
    expect(events.lines[0]).toMatch(/no answer within 5000 ms/)
    await keys.close()
    expect(clock.pendingTimers).toBe(0)
  })
})

describe('over HTTP', () => {
  let server: Server | undefined
  afterEach(
    () => new Promise((resolve) => (server === undefined ? resolve(undefined) : server.close(resolve))),
  )

  async function serve(listener: RequestListener): Promise<string> {
    const started = createServer(listener)
    server = started
    await new Promise<void>((resolve) => started.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(started.address() as AddressInfo).port}/keys`
  }

  function keysAt(url: string) {
    const events = new RecordedEvents()
    return { events, keys: new KeySetUrl('idp', url, ['ES256'], { clock: new ManualClock(), events, fetch }) }
  }

  it('is read', async () => {
    const { keys, events } = keysAt(await serve((_, response) => response.end(both)))
    await keys.open()
    expect(events.lines).toEqual(['keys idp: 2'])
    await keys.close()
  })

  it('follows no redirect', async () => {
    const { keys, events } = keysAt(
      await serve((_, response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()),
    )
    await keys.open()
    expect(events.lines[0]).toMatch(/redirect/)
    await keys.close()
  })

  it('gives up an answer that does not come when it is closed', async () => {
    let asked: () => void = () => {}
    const request = new Promise<void>((resolve) => {
      asked = resolve
    })
    const { keys, events } = keysAt(await serve(() => asked()))
    const opened = keys.open()
    await request
    await keys.close()
    await opened
    expect(events.lines).toEqual([])
  })
})
