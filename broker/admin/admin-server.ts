import { fastify, type FastifyInstance, type FastifyReply } from 'fastify'
import { STATUS_CODES } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Config } from '../../config/schema.js'
import type { Drainable } from '../contract/drain.js'
import { GatewayError } from '../contract/errors.js'
import { isLoopbackAddress, isLoopbackName } from '../contract/loopback.js'
import type { Readiness, Service } from '../contract/service.js'

export interface AdminOptions {
  readonly telemetry: AdminTelemetry
  /** Every service that has something to say about its readiness. */
  readonly readiness: () => readonly ServiceReadiness[]
  readonly drain: Drainable
}

export interface ServiceReadiness {
  readonly name: string
  readonly readiness: Readiness
}

/** What this part needs of the telemetry. */
export interface AdminTelemetry {
  scrape(): Promise<{ readonly contentType: string; readonly text: string }>
  log(part: string): { error(fields: object, text: string): void; info(fields: object, text: string): void }
}

/**
 * `/healthz` (the process answers), `/readyz` (all services are ready), `/metrics` and `/api/v1`, on an address of their
 * own. Errors are problem documents (RFC 9457). What changes something is for programs on this machine alone.
 *
 * Bound, so that whoever reaches it cannot take memory or descriptors from MQTT: connections, requests that one
 * connection may pipeline (20,000 unread ones for `/metrics` cost 340 MB), and the time for a request.
 */
export class AdminServer implements Service {
  readonly name = 'admin'
  private readonly log: ReturnType<AdminTelemetry['log']>
  private server: FastifyInstance | undefined

  constructor(
    private readonly config: Config['admin'],
    private readonly options: AdminOptions,
  ) {
    this.log = options.telemetry.log('admin')
  }

  /** `http://host:port` without a slash at the end; undefined while it does not listen. */
  get url(): string | undefined {
    const address = this.server?.server.address()
    return typeof address === 'object' && address !== null ? urlOf(address) : undefined
  }

  /** Rejects with `ADDRESS_IN_USE` or `ADDRESS_UNAVAILABLE`. */
  async start(): Promise<void> {
    const { host, port } = this.config
    const server = this.build()
    try {
      await server.listen({ host, port })
    } catch (error) {
      await server.close()
      throw listenFailure(error, host, port)
    }
    // Out of file descriptors, as a rule: without a listener for it this would end the process.
    server.server.on('error', (error) =>
      this.log.error({ error: String(error) }, 'cannot accept a connection'),
    )
    this.server = server
    this.log.info({ url: this.url }, 'admin listener open')
  }

  async stop(): Promise<void> {
    const { server } = this
    this.server = undefined
    await server?.close()
  }

  private build(): FastifyInstance {
    const server = fastify({
      logger: false,
      // Nothing here takes a body, and an answer takes milliseconds.
      bodyLimit: 1_024,
      requestTimeout: REQUEST_TIMEOUT_MS,
      // Else Node looks for slow requests every 30 s only.
      http: { headersTimeout: REQUEST_TIMEOUT_MS, connectionsCheckingInterval: 1_000 },
      maxRequestsPerSocket: MAX_REQUESTS_PER_CONNECTION,
      connectionTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      forceCloseConnections: true,
      exposeHeadRoutes: true,
      // A path that cannot be decoded never reaches the handlers below.
      frameworkErrors: (error, _request, reply) => void problem(reply, statusOf(error)),
    })
    server.server.maxConnections = MAX_CONNECTIONS
    const onlyLocal = isLoopbackName(this.config.host)
    server.addHook('onRequest', (request, reply, done) => {
      void reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
      // A page on the Internet can have its own name resolve to 127.0.0.1 and read what is here (DNS rebinding).
      if (onlyLocal && !isLoopbackName(request.hostname)) problem(reply, 421)
      else done()
    })
    server.get('/healthz', () => ({ status: 'ok' }))
    server.get('/readyz', (_request, reply) => {
      const services = this.options.readiness()
      const ready = services.every(({ readiness }) => readiness.ready)
      return reply.code(ready ? 200 : 503).send({
        ready,
        services: services.map(({ name, readiness }) => ({ name, ...readiness })),
      })
    })
    server.get('/metrics', async (_request, reply) => {
      const { contentType, text } = await this.options.telemetry.scrape()
      return reply.type(contentType).send(text)
    })
    server.get('/api/v1/drain', () => this.options.drain.status())
    server.post('/api/v1/drain', (request, reply) => {
      // Browsers send Origin with every POST: no page may drain the gateway of whoever looks at it.
      const local = isLoopbackAddress(normalized(request.socket.remoteAddress))
      if (!local || request.headers.origin !== undefined) return problem(reply, 403)
      this.options.drain.begin()
      return reply.code(202).send(this.options.drain.status())
    })
    server.setNotFoundHandler((request, reply) => {
      const [path = ''] = request.url.split('?', 1)
      if (!server.hasRoute({ method: 'GET', url: path })) return problem(reply, 404)
      return problem(reply.header('allow', 'GET, HEAD'), 405)
    })
    server.setErrorHandler((error, _request, reply) => {
      const status = statusOf(error)
      if (status >= 500) this.log.error({ error: String(error) }, 'a request failed')
      return problem(reply, status)
    })
    return server
  }
}

const MAX_CONNECTIONS = 256
const MAX_REQUESTS_PER_CONNECTION = 100
const REQUEST_TIMEOUT_MS = 10_000
/** Prometheus scrapes every 15 s or so; a connection in between is kept for it. */
const KEEP_ALIVE_MS = 30_000

function problem(reply: FastifyReply, status: number): FastifyReply {
  return reply
    .code(status)
    .type('application/problem+json')
    .send(JSON.stringify({ type: 'about:blank', status, title: STATUS_CODES[status] ?? 'Error' }))
}

/** `::ffff:127.0.0.1` is how a dual-stack socket reports an IPv4 peer. */
function normalized(address = ''): string {
  return address.replace(/^::ffff:/, '')
}

function statusOf(error: unknown): number {
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined
  return typeof status === 'number' && status >= 400 && status <= 599 ? status : 500
}

function listenFailure(error: unknown, host: string, port: number): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const address = `${host}:${port}`
  if (code === 'EADDRINUSE')
    return new GatewayError('ADDRESS_IN_USE', `the admin listener cannot have ${address}: it is in use`, {
      cause: error,
      hint: 'Stop the other process, or set `admin.port` to another port.',
    })
  if (code === 'EADDRNOTAVAIL' || code === 'EACCES' || code === 'ENOTFOUND')
    return new GatewayError('ADDRESS_UNAVAILABLE', `the admin listener cannot have ${address}: ${code}`, {
      cause: error,
      hint: 'Set `admin.host` to an address of this machine, and `admin.port` to 1024 or more.',
    })
  return error
}

function urlOf({ address, port, family }: AddressInfo): string {
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`
}
