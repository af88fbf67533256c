import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, request as httpRequest, type IncomingHttpHeaders, type Server } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadDashboard } from './dashboard-files.js'

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

let folder: string
const servers: Server[] = []
const script = `console.log('${'x'.repeat(5_000)}')`

async function serving(directory: string): Promise<number> {
  const server = createServer(await loadDashboard({ webSocketPath: '/ws/mqtt', directory }))
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

function get(
  port: number,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: '127.0.0.1', port, path, headers, method, agent: false },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
          }),
        )
      },
    )
    request.on('error', reject)
    request.end()
  })
}

let port: number
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'openclaw-dashboard-'))
  const page = join(folder, 'page')
  await mkdir(join(page, 'inner'), { recursive: true })
  await writeFile(join(folder, 'secret.html'), 'secret')
  await writeFile(join(page, 'inner', 'secret.html'), 'secret')
  await writeFile(join(page, 'index.html'), '<!doctype html><title>page</title>')
  await writeFile(join(page, 'main-AB12CD34.js'), script)
  await writeFile(join(page, 'main-AB12CD34.js.map'), '{}')
  await writeFile(join(page, 'icon.svg'), '<svg/>')
  port = await serving(page)
})

afterAll(async () => {
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  await rm(folder, { recursive: true })
})

describe('the files of the dashboard', () => {
  it('are the page at / and what belongs to it', async () => {
    const page = await get(port, '/?x=1')
    expect(page.status).toBe(200)
    expect(page.body.toString()).toContain('<title>page</title>')
    expect(page.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-cache',
    })
    expect((await get(port, '/index.html')).body).toEqual(page.body)
    expect((await get(port, '/icon.svg')).headers['content-type']).toBe('image/svg+xml')
  })

  it('tell the page where the WebSocket is', async () => {
    const { body, headers } = await get(port, '/gateway.json')
    expect(JSON.parse(body.toString())).toEqual({ path: '/ws/mqtt' })
    expect(headers).toMatchObject({ 'content-type': 'application/json', 'cache-control': 'no-cache' })
  })

  it('come with headers that let nothing in from elsewhere', async () => {
    for (const path of ['/', '/main-AB12CD34.js', '/none']) {
      const { headers } = await get(port, path)
      expect(headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self'; /)
      expect(headers['content-security-policy']).not.toMatch(/unsafe|\*|ws:/)
      expect(headers['content-security-policy']).toContain("frame-ancestors 'none'")
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-resource-policy': 'same-origin',
      })
    }
  })

  it('are kept for ever when their name has their hash', async () => {
    const { headers } = await get(port, '/main-AB12CD34.js')
    expect(headers['cache-control']).toBe('public, max-age=31536000, immutable')
  })

  it.each([
    ['br, gzip', 'br', brotliDecompressSync],
    ['gzip;q=0.5, br;q=0', 'gzip', gunzipSync],
    ['deflate', undefined, (body: Buffer) => body],
    ['', undefined, (body: Buffer) => body],
  ])('are compressed as the client wants: %j', async (accepted, encoding, decode) => {
    const { headers, body } = await get(port, '/main-AB12CD34.js', { 'accept-encoding': accepted })
    expect(headers['content-encoding']).toBe(encoding)
    expect(headers.vary).toBe('Accept-Encoding')
    expect(Number(headers['content-length'])).toBe(body.length)
    expect(decode(body).toString()).toBe(script)
  })

  it('are not sent again to whoever has them', async () => {
    const { headers } = await get(port, '/main-AB12CD34.js', { 'accept-encoding': 'br' })
    const etag = headers.etag ?? ''
    for (const known of [etag, `"other", W/${etag}`, '*']) {
      const again = await get(port, '/main-AB12CD34.js', { 'accept-encoding': 'br', 'if-none-match': known })
      expect([again.status, again.body.length, again.headers.etag]).toEqual([304, 0, etag])
    }
    const plain = await get(port, '/main-AB12CD34.js', { 'if-none-match': etag })
    expect(plain.status).toBe(200)
  })

  it('answer HEAD without a body', async () => {
    const { status, headers, body } = await get(port, '/main-AB12CD34.js', {}, 'HEAD')
    expect([status, body.length, headers['content-length']]).toEqual([200, 0, String(script.length)])
  })

  it('can only be read', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const { status, headers } = await get(port, '/', {}, method)
      expect([status, headers.allow]).toEqual([405, 'GET, HEAD'])
    }
  })

  it.each([
    '/none',
    '/main-AB12CD34.js.map',
    '/inner/secret.html',
    '/../secret.html',
    '/%2e%2e/secret.html',
    '/..%2fsecret.html',
    '/..\\secret.html',
    '//secret.html',
    '/inner',
    '/__proto__',
    '/constructor',
    '/%00',
    '/%',
    'http://127.0.0.1/../secret.html',
  ])('are no other than those: %s', async (path) => {
    expect(await rawStatus(path)).toBe(404)
  })

  it('are replaced by what to do where there are none', async () => {
    for (const directory of [
      join(folder, 'missing'),
      join(folder, 'page', 'inner'),
      join(folder, 'secret.html'),
    ]) {
      const { status, body } = await get(await serving(directory), '/')
      expect(status).toBe(200)
      expect(body.toString()).toContain('npm run build')
    }
  })

  it('are not read from a folder that cannot be theirs', async () => {
    const crowded = join(folder, 'crowded')
    await mkdir(crowded)
    await writeFile(join(crowded, 'index.html'), 'page')
    await Promise.all(Array.from({ length: 64 }, (_, i) => writeFile(join(crowded, `${i}.js`), '')))
    expect((await get(await serving(crowded), '/')).body.toString()).toContain('npm run build')
  })
})

/** Sends the path as it is: `http.request` would refuse or tidy some of them. */
function rawStatus(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.end(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    })
    let answer = ''
    socket.on('data', (chunk) => (answer += chunk.toString()))
    socket.on('error', reject)
    socket.on('close', () => resolve(Number(answer.split(' ')[1])))
  })
}
