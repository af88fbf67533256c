import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { GatewayError } from '../../broker/contract/errors.js'

export interface Program {
  readonly pid: number | undefined
  stop(): Promise<void>
}

const START_MS = 20_000
const STOP_MS = 15_000
/** Of what a program said, for the message about its end. */
const KEPT_OUTPUT = 2_000

/** Runs a program until it is stopped; resolves when it listens on `port`. */
export async function startProgram(command: readonly [string, ...string[]], port: number): Promise<Program> {
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
