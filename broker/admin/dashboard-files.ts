import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { extname, join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

export interface DashboardOptions {
  /** Told to the page as `gateway.json`, so that it finds the WebSocket of this listener. */
  readonly webSocketPath: string
  /** Folder of the built page. Default: the one that `npm run build` makes. */
  readonly directory?: string
}

/**
 * The dashboard's files, read and compressed once: a request touches no disk, and a name that was not read does not
 * exist, so no path leads out of the folder. Where the page has not been built, a page that says so takes its place.
 */
export async function loadDashboard({
  webSocketPath,
  directory = BUILT_PAGE,
}: DashboardOptions): Promise<RequestHandler> {
  const page = (await readPage(directory)) ?? new Map([['index.html', Buffer.from(NOT_BUILT)]])
  const contents = new Map(page).set('gateway.json', Buffer.from(JSON.stringify({ path: webSocketPath })))
  const resources = new Map<string, Resource>()
  for (const [name, content] of contents) resources.set(`/${name}`, await prepare(name, content))
  const index = resources.get('/index.html')
  if (index !== undefined) resources.set('/', index)

  return (request, response) => {
    const resource = resources.get(request.url?.split('?', 1)[0] ?? '')
    if (resource === undefined) refuse(response, 404, 'There is nothing here. The dashboard is at /.')
    else if (request.method !== 'GET' && request.method !== 'HEAD')
      refuse(response, 405, 'This can only be read.', { Allow: 'GET, HEAD' })
    else send(request, response, resource)
  }
}

/** Beside this file's folder once compiled (`dist/broker/admin`), in `dist` when it runs from its source. */
const BUILT_PAGE = join(
  import.meta.dirname,
  import.meta.filename.endsWith('.ts') ? '../../dist/dashboard' : '../../dashboard',
)

/** Guards against a wrong folder: the page is five files of half a megabyte. */
const MOST_FILES = 64
const MOST_BYTES = 16 * 1_024 * 1_024

const NOT_BUILT = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>OpenClaw Gateway</title>
<h1>The dashboard has not been built</h1>
<p>Run <code>npm run build</code> and start the gateway again. MQTT works without it.</p>
</html>
`

/** Files of the folder by name; undefined where there is no page in it. */
async function readPage(directory: string): Promise<ReadonlyMap<string, Buffer> | undefined> {
  try {
    const entries = await readdir(directory, { withFileTypes: true })
    const names = entries.filter((entry) => entry.isFile() && TYPES.has(extname(entry.name)))
    if (names.length > MOST_FILES) return undefined
    const files = new Map<string, Buffer>()
    let total = 0
    for (const { name } of names) {
      const content = await readFile(join(directory, name))
      total += content.length
      if (total > MOST_BYTES) return undefined
      files.set(name, content)
    }
    return files.has('index.html') ? files : undefined
  } catch {
    // Not there or not readable: the page that takes its place says what to do.
    return undefined
  }
}

/** What is served has one of these types; anything else in the folder (source maps) stays inside. */
const TYPES: ReadonlyMap<string, string> = new Map([
  ['.html', 'text/html; charset=utf-8'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.css', 'text/css; charset=utf-8'],
  ['.svg', 'image/svg+xml'],
  ['.json', 'application/json'],
  ['.png', 'image/png'],
  ['.ico', 'image/x-icon'],
  ['.woff2', 'font/woff2'],
])

interface Resource {
  readonly headers: Readonly<Record<string, string>>
  readonly plain: Variant
  /** Best first. */
  readonly compressed: readonly Variant[]
}

interface Variant {
  readonly encoding: 'br' | 'gzip' | 'identity'
  readonly body: Buffer
  /** Each variant has its own: they are different bytes. */
  readonly etag: string
}

async function prepare(name: string, content: Buffer): Promise<Resource> {
  const type = TYPES.get(extname(name)) ?? 'application/octet-stream'
  const hash = createHash('sha256').update(content).digest('base64url').slice(0, 22)
  const compressed: Variant[] = []
  if (/^text|svg|json/.test(type) && content.length > SMALL_BYTES) {
    // For the script of 407 KB: 126 KB in 27 ms; quality 9 takes 91 ms for 124 KB, gzip 19 ms for 134 KB.
    const brotli = { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } }
    compressed.push(
      { encoding: 'br', body: await promisify(brotliCompress)(content, brotli), etag: `"${hash}-br"` },
      { encoding: 'gzip', body: await promisify(gzip)(content), etag: `"${hash}-gzip"` },
    )
  }
  const headers = {
    ...SECURITY_HEADERS,
    'Content-Type': type,
    // A name with the hash of its content never means anything else.
    'Cache-Control': /-[A-Z0-9]{8}\.\w+$/.test(name) ? 'public, max-age=31536000, immutable' : 'no-cache',
    Vary: 'Accept-Encoding',
  }
  return { headers, plain: { encoding: 'identity', body: content, etag: `"${hash}"` }, compressed }
}

/** One packet: compression would save nothing. */
const SMALL_BYTES = 1_400

/**
 * Everything comes from this origin and nothing runs that is not a file of it. `connect-src 'self'` covers a WebSocket
 * of the same host and port (CSP 3; Chrome 71, Firefox 50, Safari 16), so no `ws:` to any host is let through.
 */
const SECURITY_HEADERS = {
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    // The page writes no markup from text; nothing may begin to.
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
}

function send(request: IncomingMessage, response: ServerResponse, resource: Resource): void {
  const variant = choose(resource, request.headers['accept-encoding'] ?? '')
  const described = {
    ...resource.headers,
    ETag: variant.etag,
    ...(variant.encoding === 'identity' ? {} : { 'Content-Encoding': variant.encoding }),
  }
  if (matches(request.headers['if-none-match'], variant.etag)) {
    response.writeHead(304, described).end()
    return
  }
  response.writeHead(200, { ...described, 'Content-Length': variant.body.length })
  // Node leaves the body of an answer to HEAD out.
  response.end(variant.body)
}

function refuse(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { ...SECURITY_HEADERS, 'Content-Type': 'text/plain; charset=utf-8', ...headers })
  response.end(`${text}\n`)
}

function choose({ plain, compressed }: Resource, acceptEncoding: string): Variant {
  const accepted = new Set<string>()
  for (const part of acceptEncoding.toLowerCase().split(',')) {
    const [encoding = '', weight = ''] = part.split(';').map((piece) => piece.trim())
    if (!/^q=0(?:\.0*)?$/.test(weight)) accepted.add(encoding)
  }
  return compressed.find(({ encoding }) => accepted.has(encoding)) ?? plain
}

/** RFC 9110, 13.1.2: a list of tags, compared weakly, or `*`. */
function matches(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  return ifNoneMatch.split(',').some((tag) => {
    const trimmed = tag.trim()
    return trimmed === '*' || trimmed.replace(/^W\//, '') === etag
  })
}
