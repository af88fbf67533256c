import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import type { Readable, Writable } from 'node:stream'

const ROOT = path.join(import.meta.dirname, '..', '..')

/** The built program. `npm test` builds first. */
export const PROGRAM = path.join(ROOT, 'dist', 'broker', 'app', 'main.js')

export interface RunOptions {
  readonly cwd?: string
  /** On top of the environment of the test. */
  readonly env?: Readonly<Record<string, string>>
  /** Written to standard input, which is closed then. */
  readonly input?: string
  /** A shell command line that ends in `exec "$@"`: sets limits for the program. */
  readonly shell?: string
}

export interface Outcome {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** One run of the `openclaw` command as a child process, from dist/. */
export class OpenClaw {
  stdout = ''
  stderr = ''
  readonly exited: Promise<Outcome>
  private readonly child: ChildProcessByStdio<Writable, Readable, Readable>

  constructor(args: readonly string[], { cwd, env, input, shell }: RunOptions = {}) {
    if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: run \`npm run build\` first`)
    const command = [process.execPath, PROGRAM, ...args]
    const [file, ...rest] = shell === undefined ? command : ['/bin/bash', '-c', shell, 'openclaw', ...command]
    this.child = spawn(file ?? '', rest, {
      cwd: cwd ?? ROOT,
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.child.stdin.on('error', () => {})
    this.child.stdin.end(input)
    this.child.stdout.on('data', (bytes: Buffer) => (this.stdout += bytes.toString()))
    this.child.stderr.on('data', (bytes: Buffer) => (this.stderr += bytes.toString()))
    this.exited = new Promise((resolve, reject) => {
      this.child.once('error', reject)
      this.child.once('close', (code, signal) => {
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr })
      })
    })
  }

  /** Runs a command to its end. */
  static run(args: readonly string[], options?: RunOptions): Promise<Outcome> {
    return new OpenClaw(args, options).exited
  }

  get pid(): number | undefined {
    return this.child.pid
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null
  }

  get output(): string {
    return this.stdout + this.stderr
  }

  signal(signal: NodeJS.Signals): Promise<Outcome> {
    this.child.kill(signal)
    return this.exited
  }
}
