import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll } from 'vitest'
import WebSocket, { createWebSocketStream } from 'ws'
import { buildGateway, type GatewayProcess } from '../../broker/app/gateway.js'
import type { ConfigInput } from '../../broker/app/index.js'
import { parseConfig } from '../../config/load.js'
import { RawClient, type ConnectOptions, type ProtocolVersion } from './raw-client.js'
import { ShiftedClock } from './shifted-clock.js'

export interface LogLine {
  readonly level: string
  readonly event?: string
  readonly msg?: string
  readonly [field: string]: unknown
}

/** Levels of lines that say: data was lost, or something that cannot happen has happened. */
const ERROR_LEVELS: ReadonlySet<string> = new Set(['error', 'fatal'])

/**
 * A gateway within the test's process, started from source, with a listener for TCP and one for WebSocket on free
 * ports. By default it keeps nothing on disk.
 */
export class TestGateway {
  readonly clock = new ShiftedClock()
  readonly log: LogLine[] = []
  private gateway: GatewayProcess | undefined
  private directory: string | undefined
  private readonly clients: RawClient[] = []

  constructor(private readonly overrides: ConfigInput) {}

  async start(): Promise<void> {
    if (this.overrides.store?.type === 'level')
      this.directory ??= await mkdtemp(path.join(tmpdir(), 'openclaw-e2e-'))
    this.gateway = await buildGateway(
      parseConfig({
        listeners: [
          { name: 'tcp', type: 'tcp', port: 0 },
          { name: 'ws', type: 'ws', port: 0 },
        ],
        store: { type: 'memory' },
        admin: { enabled: false },
        ...this.overrides,
        node: { id: 'test', ...(this.directory !== undefined && { dataDir: this.directory }) },
      }),
      {
        clock: this.clock,
        logDestination: { write: (line) => void this.log.push(JSON.parse(line) as LogLine) },
      },
    )
    await this.gateway.start()
  }

  async stop(): Promise<void> {
    await this.gateway?.stop()
    this.gateway = undefined
  }

  /** Ends this gateway as a process would end that is told to, and starts one on the same data. */
  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  /** Stops for good, and removes what is on disk. */
  async dispose(): Promise<void> {
    this.dropClients()
    await this.stop()
    if (this.directory !== undefined) await rm(this.directory, { recursive: true, force: true })
  }

  /** Connects over TCP and waits for CONNACK, whatever it says. MQTT 5, and an identifier of ours by default. */
  connect(options: ConnectOptions = {}): Promise<RawClient> {
    return this.kept(RawClient.connect(this.port, { clientId: unique('client'), ...options }))
  }

  /** Opens a TCP connection and sends nothing. `version` is what the client's own codec speaks. */
  open(version: ProtocolVersion = 5): Promise<RawClient> {
    return this.kept(RawClient.open(this.port, version))
  }

  /** Opens a WebSocket with the subprotocol `mqtt` and sends nothing. */
  async openWebSocket(version: ProtocolVersion = 5): Promise<{ client: RawClient; socket: WebSocket }> {
    const socket = new WebSocket(`ws://127.0.0.1:${this.address('ws')}/mqtt`, ['mqtt'])
    await new Promise((resolve, reject) => {
      socket.once('open', resolve)
      socket.once('error', reject)
    })
    const client = await this.kept(Promise.resolve(new RawClient(createWebSocketStream(socket), version)))
    return { client, socket }
  }

  /** Closes what a test has left open. */
  dropClients(): void {
    for (const client of this.clients.splice(0)) client.socket.destroy()
  }

  get port(): number {
    return this.address('tcp')
  }

  get running(): GatewayProcess {
    if (this.gateway === undefined) throw new Error('the gateway does not run')
    return this.gateway
  }

  /** What `/readyz` says where it says no. */
  get notReady(): readonly string[] {
    return this.running
      .readiness()
      .flatMap(({ name, readiness }) => (readiness.ready ? [] : [`${name}: ${readiness.reason}`]))
  }

  /** Lines that an operator would have to look into. */
  get errors(): readonly LogLine[] {
    return this.log.filter(({ level }) => ERROR_LEVELS.has(level))
  }

  private address(listener: string): number {
    const address = this.running.addresses.get(listener)
    if (address === undefined) throw new Error(`no listener ${listener}`)
    return address.port
  }

  private async kept<T extends RawClient>(opening: Promise<T>): Promise<T> {
    const client = await opening
    this.clients.push(client)
    return client
  }
}

/**
 * One gateway for the tests of a file: started before the first, gone after the last; connections that a test has
 * left open are closed behind it. Fails the file when the gateway has logged an error.
 */
export function useGateway(overrides: ConfigInput = {}): TestGateway {
  const gateway = new TestGateway(overrides)
  beforeAll(() => gateway.start())
  afterEach(() => gateway.dropClients())
  afterAll(async () => {
    await gateway.dispose()
    if (gateway.errors.length > 0)
      throw new Error(`the gateway has logged errors: ${JSON.stringify(gateway.errors)}`)
  })
  return gateway
}

let names = 0

/** A client identifier or topic that no other test uses. */
export function unique(name: string): string {
  return `${name}-${++names}`
}
