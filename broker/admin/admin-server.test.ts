import { connect, createServer } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { Drainable, DrainStatus } from '../contract/drain.js'
import { AdminServer, type AdminTelemetry, type ServiceReadiness } from './admin-server.js'

const logged: string[] = []
const log = { error: (_fields: object, text: string) => logged.push(text), info: () => {} }
const telemetry: AdminTelemetry = {
  scrape: () => Promise.resolve({ contentType: 'text/plain; version=0.0.4', text: 'openclaw_x 1\n' }),
  log: () => log,
}

const serving: DrainStatus = { phase: 'serving', clients: 3, clientsAtStart: 0, seconds: 0 }
let drains = 0
const drain: Drainable = {
  begin: () => {
    drains++
  },
  status: () => (drains === 0 ? serving : { ...serving, phase: 'leaving', clientsAtStart: 3 }),
}

let running: AdminServer[] = []
afterEach(async () => {
  await Promise.all(running.map((server) => server.stop()))
  running = []
  logged.length = 0
  drains = 0
})

async function started(more: Partial<AdminTelemetry> = {}, services: readonly ServiceReadiness[] = []) {
  const server = new AdminServer(
    { enabled: true, host: '127.0.0.1', port: 0 },
    { telemetry: { ...telemetry, ...more }, readiness: () => services, drain },
  )
  running.push(server)
  await server.start()
  const base = server.url ?? ''
  return { server, base, get: (path: string, init?: RequestInit) => fetch(base + path, init) }
}

/** Sends all requests at once; the status codes of the answers, until the first connection closes or falls silent. */
async function pipelined({ hostname, port }: URL, requests: readonly string[]): Promise<number[]> {
  const socket = connect(Number(port), hostname)
  socket.on('error', () => {})
  socket.end(requests.join(''))
  let text = ''
  for await (const chunk of socket as AsyncIterable<Buffer>) text += chunk.toString()
  return [...text.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => Number(status))
}

describe('the admin listener', () => {
  it('tells that the process lives', async () => {
    const { get } = await started()
    const response = await get('/healthz')
    expect([response.status, await response.json()]).toEqual([200, { status: 'ok' }])
    expect(response.headers.get('server')).toBeNull()
    expect(response.headers.get('cache-control')).toBe('no-store')
  })

  it('is ready when every service is', async () => {
    const services: ServiceReadiness[] = [
      { name: 'store', readiness: { ready: true } },
      { name: 'gateway', readiness: { ready: true } },
    ]
    const { get } = await started({}, services)
    const ready = await get('/readyz')
    expect([ready.status, await ready.json()]).toEqual([
      200,
      {
        ready: true,
        services: [
          { name: 'store', ready: true },
          { name: 'gateway', ready: true },
        ],
      },
    ])
    services[0] = { name: 'store', readiness: { ready: false, reason: 'the disk is full' } }
    const unready = await get('/readyz')
    expect([unready.status, await unready.json()]).toEqual([
      503,
      {
        ready: false,
        services: [
          { name: 'store', ready: false, reason: 'the disk is full' },
          { name: 'gateway', ready: true },
        ],
      },
    ])
  })

  it.each([
    ['127.0.0.1', 200],
    ['localhost:9090', 200],
    ['[::1]:9090', 200],
    ['gateway.localhost', 200],
    ['evil.example', 421],
    ['127.0.0.1.evil.example', 421],
    ['', 421],
  ])('answers on the loopback interface only to names of it: Host %j gets %i', async (host, status) => {
    const { base } = await started()
    const answers = await pipelined(new URL(base), [`GET /metrics HTTP/1.1\r\nHost: ${host}\r\n\r\n`])
    expect(answers).toEqual([status])
  })

  it('bounds the requests of one connection', async () => {
    let scrapes = 0
    const { base } = await started({
      scrape: () => {
        scrapes++
        return Promise.resolve({ contentType: 'text/plain', text: 'x' })
      },
    })
    const request = 'GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n'
    await pipelined(new URL(base), Array<string>(1_000).fill(request))
    expect(scrapes).toBeLessThanOrEqual(100)
  })

  it('gives the metrics as Prometheus wants them', async () => {
    const { get } = await started()
    const response = await get('/metrics')
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4')
    expect(await response.text()).toBe('openclaw_x 1\n')
    expect((await get('/metrics', { method: 'HEAD' })).status).toBe(200)
  })

  it.each([
    ['GET', '/none', 404, 'Not Found'],
    ['GET', '/%', 400, 'Bad Request'],
    ['POST', '/none', 404, 'Not Found'],
    ['POST', '/metrics?x', 405, 'Method Not Allowed'],
    ['DELETE', '/healthz', 405, 'Method Not Allowed'],
  ])('answers %s %s with a problem document', async (method, path, status, title) => {
    const { get } = await started()
    const response = await get(path, { method })
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/)
    expect(await response.json()).toEqual({ type: 'about:blank', status, title })
  })

  it('keeps the reason of a failure to the log', async () => {
    const { get } = await started({ scrape: () => Promise.reject(new Error('inner detail')) })
    const response = await get('/metrics')
    expect(response.status).toBe(500)
    expect(await response.text()).not.toContain('inner detail')
    expect(logged).toEqual(['a request failed'])
    expect((await get('/healthz')).status).toBe(200)
  })

  it('says so when the port is taken, and leaves nothing open', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const address = other.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const server = new AdminServer(
      { enabled: true, host: '127.0.0.1', port },
      { telemetry, readiness: () => [], drain },
    )
    await expect(server.start()).rejects.toMatchObject({
      code: 'ADDRESS_IN_USE',
      message: `the admin listener cannot have 127.0.0.1:${port}: it is in use`,
    })
    expect(server.url).toBeUndefined()
    await server.stop()
    await new Promise((resolve) => other.close(resolve))
  })

  it("says so when the address is not this machine's", async () => {
    const server = new AdminServer(
      { enabled: true, host: '192.0.2.1', port: 0 },
      { telemetry, readiness: () => [], drain },
    )
    await expect(server.start()).rejects.toMatchObject({ code: 'ADDRESS_UNAVAILABLE' })
  })

  it('outlives a failure to accept', async () => {
    const { server, get } = await started()
    const inner = (server as unknown as { server: { server: NodeJS.EventEmitter } }).server.server
    inner.emit('error', new Error('EMFILE'))
    expect(logged).toEqual(['cannot accept a connection'])
    expect((await get('/healthz')).status).toBe(200)
  })

  it('stops with connections open, twice, and without a start', async () => {
    const { server, get, base } = await started()
    await get('/healthz')
    await server.stop()
    await server.stop()
    await expect(fetch(`${base}/healthz`)).rejects.toThrow()
    await new AdminServer(
      { enabled: true, host: '127.0.0.1', port: 0 },
      { telemetry, readiness: () => [], drain },
    ).stop()
  })
})

describe('a drain', () => {
  it('is begun from this machine, and looked at', async () => {
    const { get } = await started()
    expect(await (await get('/api/v1/drain')).json()).toEqual(serving)
    const begun = await get('/api/v1/drain', { method: 'POST' })
    expect([begun.status, await begun.json()]).toEqual([
      202,
      { ...serving, phase: 'leaving', clientsAtStart: 3 },
    ])
    expect(drains).toBe(1)
  })

  it('is not begun by a page in a browser', async () => {
    const { get } = await started()
    const headers = { origin: 'https://example.com' }
    expect((await get('/api/v1/drain', { method: 'POST', headers })).status).toBe(403)
    expect(drains).toBe(0)
  })
})
