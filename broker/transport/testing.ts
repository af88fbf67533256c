import { once } from 'node:events'
import { connect, createServer, isIPv4, type AddressInfo, type Socket } from 'node:net'
import { WebSocket, type ClientOptions } from 'ws'
import type { ListenerConfig, TlsConfig, WebSocketListenerConfig } from '../../config/schema.js'
import { systemClock } from '../contract/clock.js'
import { GatewayError } from '../contract/errors.js'
import type { HandshakeRefusal, TransportEvents } from '../contract/events.js'
import type { CloseCause, ConnectionHandler, ConnectionInfo, Outbox } from '../contract/transport.js'
import { Listener, type ListenerDeps } from './listener.js'

/** What the tests of the transport share: a listener whose connections and events are recorded. */

export class RecordedConnection implements ConnectionHandler {
  readonly pieces: Buffer[] = []
  receivedBytes = 0
  drainedCount = 0
  cause: CloseCause | undefined = undefined
  /** Called for every piece. */
  onReceived: (bytes: Buffer) => void = () => {}
  private readonly waiters: (() => void)[] = []

  constructor(
    readonly info: ConnectionInfo,
    readonly outbox: Outbox,
  ) {}

  received(shared: Buffer, start = 0, end = shared.length): void {
    const bytes = shared.subarray(start, end)
    this.pieces.push(Buffer.from(bytes))
    this.receivedBytes += bytes.length
    this.onReceived(bytes)
    this.wake()
  }

  drained(): void {
    this.drainedCount++
    this.wake()
  }

  closed(cause: CloseCause): void {
    if (this.cause !== undefined) throw new Error('closed twice')
    this.cause = cause
    this.wake()
  }

  get text(): string {
    return Buffer.concat(this.pieces).toString('latin1')
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.waiters.push(resolve))
  }

  async untilClosed(): Promise<CloseCause> {
    await this.until(() => this.cause !== undefined)
    return this.cause as CloseCause
  }

  private wake(): void {
    for (const waiter of this.waiters.splice(0)) waiter()
  }
}

export class RecordedEvents implements TransportEvents {
  readonly refused: HandshakeRefusal[] = []
  readonly closed: CloseCause[] = []
  readonly defects: unknown[] = []
  opened = 0
  received = 0
  sent = 0
  droppedMessages = 0
  droppedBytes = 0

  readonly addresses: string[] = []

  listening(_listener: string, address: string): void {
    this.addresses.push(address)
  }
  connectionOpened(): void {
    this.opened++
  }
  connectionRefused(_listener: string, _remoteAddress: string, reason: HandshakeRefusal): void {
    this.refused.push(reason)
  }
  connectionClosed(_info: ConnectionInfo, cause: CloseCause): void {
    this.closed.push(cause)
  }
  bytesReceived(count: number): void {
    this.received += count
  }
  bytesSent(count: number): void {
    this.sent += count
  }
  outboxDropped(_info: ConnectionInfo, messages: number, bytes: number): void {
    this.droppedMessages += messages
    this.droppedBytes += bytes
  }
  handlerFailed(_info: ConnectionInfo, error: unknown): void {
    this.defects.push(error)
  }
  acceptFailed(_listener: string, error: Error): void {
    this.defects.push(error)
  }
}

type ListenerInput = Partial<Omit<WebSocketListenerConfig, 'type' | 'tls'>> & {
  readonly type: ListenerConfig['type']
  readonly tls?: Omit<TlsConfig, 'clientCert'> & Partial<TlsConfig>
}

export interface TestListener {
  readonly listener: Listener
  readonly events: RecordedEvents
  readonly port: number
  readonly url: string
  readonly connections: RecordedConnection[]
  /** The connection that is opened next (or has been opened and not been asked for). */
  readonly next: () => Promise<RecordedConnection>
}

/** On a free port of 127.0.0.1, with the settings that the configuration fills in. */
function listenerConfig({ type, tls, ...settings }: ListenerInput): ListenerConfig {
  const common = { name: 'test', host: '127.0.0.1', port: 0, maxConnections: 100_000 }
  const web = { path: '/mqtt', dashboard: false, origins: [], compression: false }
  const withTls = { tls: { certFile: '', keyFile: '', clientCert: 'none' as const, ...tls } }
  switch (type) {
    case 'ws':
      return { ...common, ...web, ...settings, type }
    case 'wss':
      return { ...common, ...web, ...settings, ...withTls, type }
    case 'tcp':
      return { ...common, ...settings, type }
    case 'tls':
      return { ...common, ...settings, ...withTls, type }
  }
}

const toClose: (() => Promise<void> | void)[] = []

/** For `afterEach`: stops what the test has opened, clients first. */
export async function closeAll(): Promise<void> {
  for (const close of toClose.splice(0).reverse()) await close()
}

export function closeAfterTest(close: () => Promise<void> | void): void {
  toClose.push(close)
}

export interface TestOptions extends Partial<Omit<ListenerDeps, 'acceptConnection' | 'events'>> {
  /** Called for each connection before anything is received. */
  readonly onConnection?: (connection: RecordedConnection) => void
}

/** Opens a listener, records its connections and events, and stops it after the test. */
export async function openListener(
  input: ListenerInput,
  { onConnection, ...deps }: TestOptions = {},
): Promise<TestListener> {
  const events = new RecordedEvents()
  const connections: RecordedConnection[] = []
  const waiters: (() => void)[] = []
  let ids = 0
  let handedOut = 0
  const listener = new Listener(listenerConfig(input), {
    events,
    clock: systemClock,
    nextConnectionId: () => ++ids,
    limits: { outboxSoftBytes: 1_048_576, outboxHardBytes: 8_388_608, packetSize: 262_144 },
    ...deps,
    acceptConnection: (info, outbox) => {
      const connection = new RecordedConnection(info, outbox)
      connections.push(connection)
      onConnection?.(connection)
      for (const waiter of waiters.splice(0)) waiter()
      return connection
    },
  })
  // Also where the start fails.
  closeAfterTest(() => listener.stop())
  await listener.start()
  const { port, url } = listener.address()
  return {
    listener,
    events,
    port,
    url,
    connections,
    next: async () => {
      const index = handedOut++
      for (;;) {
        const connection = connections[index]
        if (connection !== undefined) return connection
        await new Promise<void>((resolve) => waiters.push(resolve))
      }
    },
  }
}

/** The header with which a proxy announces a client, as HAProxy's `send-proxy-v2` writes it. */
export function proxyHeaderV2(client: {
  readonly address: string
  readonly port: number
  readonly extensions?: Buffer
}): Buffer {
  const { address, port, extensions = Buffer.alloc(0) } = client
  const family = isIPv4(address) ? 0x11 : 0x21
  const source = isIPv4(address) ? Buffer.from(address.split('.').map(Number)) : ipv6Bytes(address)
  const length = 2 * source.length + 4 + extensions.length
  const ports = Buffer.from([port >> 8, port & 0xff, 1883 >> 8, 1883 & 0xff])
  const fixed = Buffer.from([0x21, family, length >> 8, length & 0xff])
  return Buffer.concat([PROXY_SIGNATURE, fixed, source, Buffer.alloc(source.length), ports, extensions])
}

const PROXY_SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')

function ipv6Bytes(address: string): Buffer {
  if (address.startsWith('::ffff:'))
    return Buffer.from([...Array<number>(10).fill(0), 255, 255, ...address.slice(7).split('.').map(Number)])
  return Buffer.from(
    address
      .split(':')
      .map((group) => group.padStart(4, '0'))
      .join(''),
    'hex',
  )
}

/** A TCP client; what it reads is in `read()`. */
export async function openSocket(port: number, host = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ port, host, allowHalfOpen: true })
  socket.on('error', () => {})
  closeAfterTest(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** Both ends of a TCP connection without a listener of ours; `accepted` is half-open, as they make them. */
export async function socketPair(): Promise<{ client: Socket; accepted: Socket }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const connection = once(server, 'connection')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [accepted] = (await connection) as [Socket]
  server.close()
  for (const socket of [client, accepted]) closeAfterTest(() => void socket.destroy())
  return { client, accepted }
}

/** What the promise is rejected with. */
export async function failureOf(promise: Promise<unknown>): Promise<GatewayError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof GatewayError)) throw new Error('expected a GatewayError', { cause: error })
  return error
}

/** All that the peer sends until it closes. */
export async function readToEnd(socket: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  await new Promise<void>((resolve) => {
    socket.once('end', resolve)
    socket.once('close', resolve)
  })
  return Buffer.concat(chunks).toString('latin1')
}

/** A WebSocket client with the subprotocol `mqtt`, open. */
export async function openWebSocket(url: string, options: ClientOptions = {}): Promise<WebSocket> {
  const client = new WebSocket(url, ['mqtt'], { perMessageDeflate: false, ...options })
  closeAfterTest(() => client.terminate())
  client.on('error', () => {})
  await once(client, 'open')
  return client
}

/** Close code and reason that the client sees. */
export async function closeOf(client: WebSocket): Promise<{ code: number; reason: string }> {
  const [code, reason] = (await once(client, 'close')) as [number, Buffer]
  return { code, reason: reason.toString() }
}

/** The head of a WebSocket handshake; a header that is `undefined` is left out. */
export function handshakeHead(
  port: number,
  headers: Readonly<Record<string, string | undefined>> = {},
  requestLine = 'GET /mqtt HTTP/1.1',
): string {
  const all: Record<string, string | undefined> = {
    Host: `127.0.0.1:${port}`,
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Protocol': 'mqtt',
    ...headers,
  }
  const lines = Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}`],
  )
  return `${[requestLine, ...lines].join('\r\n')}\r\n\r\n`
}
