import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GatewayError } from '../../broker/contract/errors.js'
import type { Endpoint } from '../client/endpoint.js'
import type { Broker, PeerSettings, Transport } from './broker.js'
import { makeCertificate, type Certificate } from './certificate.js'
import { pinned } from './cores.js'
import { freePorts } from './free-ports.js'

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
  readonly certificate: Certificate | undefined
}

/** How a broker is started. */
export interface Recipe {
  readonly name: string
  readonly version: string
  /** URL path of its WebSocket listener. */
  readonly path: string
  /** Writes what the program needs into the workplace. */
  prepare(workplace: Workplace): {
    readonly settings: string
    readonly command: readonly [string, ...string[]]
    /** A program that has to run beside it, not pinned. */
    readonly companion?: readonly [string, ...string[]]
  }
}

const START_MS = 20_000
const STOP_MS = 15_000
/** Of what a program said, for the message about its end. */
const KEPT_OUTPUT = 2_000

/** Starts a broker on free ports of 127.0.0.1; resolves when it accepts connections. */
export async function launch(recipe: Recipe, settings: PeerSettings): Promise<Broker> {
  const directory = mkdtempSync(join(tmpdir(), `openclaw-load-${recipe.name}-`))
  const removeDirectory = () => rmSync(directory, { recursive: true, force: true })
  try {
    const [ws = 0, tcp = 0, wss = 0, tls = 0, spare = 0] = await freePorts(5)
    const ports = { ws, tcp, wss, tls, spare }
    const certificate = settings.tls ? makeCertificate(directory) : undefined
    const prepared = recipe.prepare({ directory, ports, certificate })
    const companion =
      prepared.companion === undefined ? undefined : await startProgram(prepared.companion, spare)
    const start = () => startProgram(pinned(settings.cores, prepared.command), ws)
    let program = await start()
    return {
      name: recipe.name,
      version: recipe.version,
      settings: prepared.settings,
      pid: () => program.pid,
      endpoint: (transport) => endpoint(transport, ports, recipe.path, certificate),
      async restart() {
        await program.stop()
        program = await start()
      },
      async stop() {
        await program.stop()
        await companion?.stop()
        removeDirectory()
      },
    }
  } catch (error) {
    removeDirectory()
    throw error
  }
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

interface Program {
  readonly pid: number | undefined
  stop(): Promise<void>
}

/** Runs a program until it is stopped; resolves when it listens on `port`. */
async function startProgram(command: readonly [string, ...string[]], port: number): Promise<Program> {
  const [file, ...args] = command
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  let over: string | undefined
  const keep = (bytes: Buffer) => (output = (output + bytes.toString()).slice(-KEPT_OUTPUT))
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  child.once('error', (error) => (over = error.message))
  child.once('exit', (code, signal) => (over = `exit ${code ?? signal ?? ''}`))

  const patience = Date.now() + START_MS
  while (!(await accepts(port))) {
    if (over === undefined && Date.now() < patience) continue
    child.kill('SIGKILL')
    throw new GatewayError('BROKER_UNREACHABLE', `${file} did not start: ${over ?? 'it does not listen'}`, {
      ...(output !== '' && { hint: output.trim() }),
    })
  }
  return {
    pid: child.pid,
    stop: () => (over === undefined ? stopProgram(child) : Promise.resolve()),
  }
}

async function stopProgram(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const force = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  await exited
  clearTimeout(force)
}

async function accepts(port: number): Promise<boolean> {
  const open = await new Promise<boolean>((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const answer = (result: boolean) => () => {
      socket.destroy()
      resolve(result)
    }
    socket.once('connect', answer(true)).once('error', answer(false))
  })
  if (!open) await new Promise((resolve) => setTimeout(resolve, 50))
  return open
}
