import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../broker/contract/free-port.js'
import type { Endpoint } from '../client/endpoint.js'
import type { Broker, Fleet, PeerSettings, Transport } from './broker.js'
import { makeCertificate, type Certificate } from './certificate.js'
import { pinned } from './cores.js'
import { startProgram, type Program } from './program.js'

export interface Ports {
  readonly ws: number
  readonly tcp: number
  readonly wss: number
  readonly tls: number
  /** For whatever else a broker wants. */
  readonly spare: number
}

export interface Workplace {
  /** Empty, and removed in the end. */
  readonly directory: string
  readonly ports: Ports
  /** Port of the Redis that was started for the broker. */
  readonly redis: number | undefined
  readonly certificate: Certificate | undefined
}

/** How a broker is started. */
export interface Recipe {
  readonly name: string
  readonly version: string
  /** URL path of its WebSocket listener. */
  readonly path: string
  /** Whether it needs a Redis. */
  readonly redis: boolean
  /** Writes what the program of a node needs into the workplace. */
  prepare(workplace: Workplace): {
    readonly settings: string
    readonly command: readonly [string, ...string[]]
  }
}

interface Node {
  readonly ports: Ports
  readonly settings: string
  readonly command: readonly [string, ...string[]]
  program: Program
}

/** Starts a broker on free ports of 127.0.0.1; resolves when all its nodes accept connections. */
export async function launch(recipe: Recipe, fleet: Fleet, settings: PeerSettings): Promise<Broker> {
  const directory = mkdtempSync(join(tmpdir(), `openclaw-load-${recipe.name}-`))
  const certificate = settings.tls ? makeCertificate(directory) : undefined
  const nodes: Node[] = []
  let redis: Redis | undefined
  const start = ({ ports, command }: Pick<Node, 'ports' | 'command'>) =>
    startProgram(pinned(settings.cores, command), ports.ws)
  const stop = async () => {
    await Promise.all(nodes.map(({ program }) => program.stop()))
    await redis?.program.stop()
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    if (recipe.redis) redis = await startRedis(directory, settings)
    for (let number = 0; number < fleet.nodes; number++) {
      const own = join(directory, `node-${number}`)
      mkdirSync(own)
      const ports: Ports = {
        ws: await freePort(),
        tcp: await freePort(),
        wss: await freePort(),
        tls: await freePort(),
        spare: await freePort(),
      }
      const prepared = recipe.prepare({ directory: own, ports, redis: redis?.port, certificate })
      nodes.push({ ports, ...prepared, program: await start({ ports, ...prepared }) })
    }
  } catch (error) {
    await stop()
    throw error
  }
  const ofClients = nodes.slice(0, fleet.clients === 'together' ? 1 : undefined)
  const [first, ...others] = ofClients.map(
    ({ ports }) =>
      (transport: Transport): Endpoint =>
        endpoint(transport, ports, recipe.path, certificate),
  )
  if (first === undefined) throw new RangeError('a broker has at least one node')
  const ofReceivers = others.length === 0 ? [first] : others
  return {
    name: recipe.name + (fleet.nodes === 1 ? '' : `, ${fleet.nodes} nodes`),
    version: recipe.version,
    settings: [redisSettings(redis), ...nodes.map((node) => node.settings)].join('\n').trim(),
    pids: () =>
      [redis?.program, ...nodes.map(({ program }) => program)].flatMap((program) => program?.pid ?? []),
    redisPid: () => redis?.program.pid,
    endpoint: first,
    receiverEndpoints: (transport) => ofReceivers.map((of) => of(transport)),
    async restart() {
      await Promise.all(nodes.map(({ program }) => program.stop()))
      if (redis !== undefined) {
        await redis.program.stop()
        redis.program = await startProgram(redis.command, redis.port)
      }
      for (const node of nodes) node.program = await start(node)
    },
    stop,
  }
}

interface Redis {
  readonly port: number
  readonly command: readonly [string, ...string[]]
  program: Program
}

/** It shares the core of the nodes, as it shares the bill. Nothing is written to the disk. */
async function startRedis(directory: string, settings: PeerSettings): Promise<Redis> {
  const port = await freePort()
  const command = pinned(settings.cores, [
    'redis-server',
    ...['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', ''],
  ])
  return { port, command, program: await startProgram(command, port) }
}

function redisSettings(redis: Redis | undefined): string {
  return redis === undefined ? '' : redis.command.map((word) => (word === '' ? '""' : word)).join(' ')
}

function endpoint(
  transport: Transport,
  ports: Ports,
  path: string,
  certificate: Certificate | undefined,
): Endpoint {
  const scheme = { ws: 'ws', wss: 'wss', tcp: 'mqtt', tls: 'mqtts' }[transport]
  const webSocketPath = transport === 'ws' || transport === 'wss' ? path : ''
  return {
    url: `${scheme}://127.0.0.1:${ports[transport]}${webSocketPath}`,
    ca: certificate?.pem,
    username: undefined,
    password: undefined,
  }
}
