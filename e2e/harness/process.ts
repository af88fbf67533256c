import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ConfigInput } from '../../config/schema.js'
import { freePort } from '../../broker/contract/free-port.js'
import { OpenClaw, type Outcome, type RunOptions } from './openclaw.js'

/** Longest wait for a gateway to be ready, in milliseconds; a start takes about half a second. */
const PATIENCE_MS = 20_000

/** Between two looks at `/readyz`, in milliseconds. */
const LOOK_EVERY_MS = 15

export interface Ports {
  readonly web: number
  readonly mqtt: number
  readonly admin: number
}

export interface ProcessOptions extends Pick<RunOptions, 'shell' | 'env'> {
  /** On top of a ws, a tcp and an admin listener on free ports, and a folder of its own. */
  readonly config?: (ports: Ports, folder: string) => ConfigInput
  readonly args?: readonly string[]
}

/**
 * The built gateway in a process of its own, which may be killed and started again on the same ports and the
 * same data.
 */
export class GatewayProcess {
  private current: OpenClaw | undefined
  private earlier = ''

  private constructor(
    readonly ports: Ports,
    /** Holds configuration and data; removed by `dispose`. */
    readonly folder: string,
    private readonly options: ProcessOptions,
  ) {}

  /** Prepares configuration and ports; starts nothing. */
  static async prepare(options: ProcessOptions = {}): Promise<GatewayProcess> {
    const folder = await mkdtemp(path.join(tmpdir(), 'openclaw-e2e-'))
    const [web, mqtt, admin] = await Promise.all([freePort(), freePort(), freePort()])
    const ports = { web, mqtt, admin }
    const gateway = new GatewayProcess(ports, folder, options)
    const config: ConfigInput = {
      node: { dataDir: path.join(folder, 'data') },
      listeners: [
        { name: 'web', type: 'ws', port: web, dashboard: true },
        { name: 'mqtt', type: 'tcp', port: mqtt },
      ],
      admin: { port: admin },
      ...options.config?.(ports, folder),
    }
    // JSON is YAML.
    await writeFile(gateway.configFile, JSON.stringify(config, null, 2))
    return gateway
  }

  static async start(options: ProcessOptions = {}): Promise<GatewayProcess> {
    const gateway = await GatewayProcess.prepare(options)
    await gateway.start()
    return gateway
  }

  get configFile(): string {
    return path.join(this.folder, 'gateway.yaml')
  }

  /** Resolves when `/readyz` says ready; rejects with what the program printed when it ends before that. */
  async start(): Promise<void> {
    const program = this.launch()
    const deadline = Date.now() + PATIENCE_MS
    while (!(await this.ready())) {
      if (!program.running) throw new Error(`the gateway ended at its start:\n${program.output}`)
      if (Date.now() > deadline) throw new Error(`the gateway is not ready:\n${program.output}`)
      await sleep(LOOK_EVERY_MS)
    }
  }

  /** Starts the program and does not wait. */
  launch(): OpenClaw {
    if (this.current !== undefined) this.earlier += this.current.output
    const { args = [], shell, env } = this.options
    this.current = new OpenClaw(['start', '--config', this.configFile, ...args], {
      cwd: this.folder,
      ...(shell !== undefined && { shell }),
      ...(env !== undefined && { env }),
    })
    return this.current
  }

  /** The run that goes on, or the last one. */
  get program(): OpenClaw | undefined {
    return this.current
  }

  get pid(): number | undefined {
    return this.current?.pid
  }

  get running(): boolean {
    return this.current?.running === true
  }

  /** Everything that the program has printed, former runs included. */
  get output(): string {
    return this.earlier + (this.current?.output ?? '')
  }

  /** SIGKILL. Resolves when the process is gone. */
  async kill(): Promise<void> {
    await this.current?.signal('SIGKILL')
  }

  /** SIGTERM. Resolves when the process has ended. */
  stop(): Promise<Outcome> {
    if (this.current === undefined) throw new Error('the gateway was not started')
    return this.current.signal('SIGTERM')
  }

  async admin(pathname: string): Promise<{ readonly status: number; readonly text: string }> {
    const response = await fetch(`http://127.0.0.1:${this.ports.admin}${pathname}`)
    return { status: response.status, text: await response.text() }
  }

  /** Ends the process, by force, and removes the folder. */
  async dispose(): Promise<void> {
    await this.kill()
    await rm(this.folder, { recursive: true, force: true })
  }

  async ready(): Promise<boolean> {
    try {
      return (await this.admin('/readyz')).status === 200
    } catch {
      return false
    }
  }
}
