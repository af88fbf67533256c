import { spawn, type ChildProcess } from 'node:child_process'
import path from 'node:path'
import { freePort } from '../../broker/contract/free-port.js'

/** The file that docker-compose.yml mounts. */
export const HAPROXY_CONFIG = path.join(import.meta.dirname, '..', '..', 'config', 'compose', 'haproxy.cfg')

/** Where a gateway is: what HAProxy has to know of it. */
export interface Upstream {
  readonly mqtt: number
  readonly web: number
  readonly admin: number
}

const running = new Set<ChildProcess>()
// A run that is broken off leaves no proxy behind.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** HAProxy with the configuration of the compose project, in front of two gateways of 127.0.0.1. */
export class HAProxy {
  output = ''

  private constructor(
    readonly ports: { readonly mqtt: number; readonly web: number; readonly metrics: number },
    private readonly child: ChildProcess,
  ) {}

  static async start(program: string, upstreams: readonly [Upstream, Upstream]): Promise<HAProxy> {
    const [mqtt, web, metrics] = await Promise.all([freePort(), freePort(), freePort()])
    const env: Record<string, string> = {
      HAPROXY_BIND: '127.0.0.1',
      HAPROXY_MAXCONN: '1000',
      HAPROXY_MQTT_PORT: String(mqtt),
      HAPROXY_WEB_PORT: String(web),
      HAPROXY_METRICS_PORT: String(metrics),
    }
    for (const [index, ports] of upstreams.entries()) {
      env[`GATEWAY_${index + 1}_HOST`] = '127.0.0.1'
      env[`GATEWAY_${index + 1}_MQTT_PORT`] = String(ports.mqtt)
      env[`GATEWAY_${index + 1}_WEB_PORT`] = String(ports.web)
      env[`GATEWAY_${index + 1}_ADMIN_PORT`] = String(ports.admin)
    }
    const child = spawn(program, ['-db', '-f', HAPROXY_CONFIG], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    running.add(child)
    child.once('exit', () => running.delete(child))
    const proxy = new HAProxy({ mqtt, web, metrics }, child)
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (bytes: Buffer) => (proxy.output += bytes.toString()))
    return proxy
  }

  /** Gateways that it gives connections to, of the backend `mqtt`. */
  inRotation(): Promise<number> {
    return this.read('haproxy_backend_active_servers', 'mqtt')
  }

  /** Connections of clients that it has open. */
  async connections(): Promise<number> {
    const open = 'haproxy_frontend_current_sessions'
    return (await this.read(open, 'mqtt')) + (await this.read(open, 'web'))
  }

  private async read(metric: string, proxy: string): Promise<number> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.ports.metrics}/metrics`)
      const [, value] =
        new RegExp(`^${metric}{proxy="${proxy}"} (\\d+)`, 'm').exec(await response.text()) ?? []
      return Number(value ?? NaN)
    } catch {
      return NaN // It does not listen yet.
    }
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const gone = new Promise((resolve) => this.child.once('exit', resolve))
    this.child.kill('SIGKILL')
    await gone
  }
}
