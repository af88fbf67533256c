import { setTimeout as sleep } from 'node:timers/promises'
import type { OpenClaw } from '../harness/openclaw.js'
import type { GatewayProcess } from '../harness/process.js'

/** Longest wait for a node to be ready, and for one that was told to end, milliseconds: the machine may be busy. */
const PATIENCE_MS = 60_000
const LOOK_MS = 50

/** A node that is killed, paused and drained, and that may never end by itself. */
export class WatchedNode {
  /** Starts that ended since Redis went away. */
  failedStarts = 0
  private endingRun: OpenClaw | undefined

  constructor(
    readonly name: string,
    readonly gateway: GatewayProcess,
    private readonly redis: RedisTimes,
    private readonly onFault: (fault: string) => void,
  ) {}

  /** Starts the process, again when Redis was away: whoever starts without one says so and ends. */
  async start(): Promise<void> {
    for (;;) {
      await this.redis.present()
      const since = performance.now()
      const program = this.gateway.launch()
      if (await this.becomesReady(program)) {
        this.watch(program)
        return
      }
      if (!this.redis.awaySince(since)) {
        this.onFault(`${this.name} did not start:\n${program.output}`)
        return
      }
      this.failedStarts++
    }
  }

  async kill(): Promise<void> {
    this.endingRun = this.gateway.program
    await this.gateway.kill()
  }

  /** SIGTERM: it drains, and ends with 0. */
  async drain(): Promise<void> {
    this.endingRun = this.gateway.program
    const ended = await Promise.race([this.gateway.stop(), sleep(PATIENCE_MS)])
    if (ended === undefined) {
      this.onFault(`${this.name} did not end within ${PATIENCE_MS} ms of SIGTERM`)
      await this.gateway.kill()
    } else if (ended.code !== 0) {
      this.onFault(`${this.name} ended with ${ended.code ?? ended.signal} on SIGTERM:\n${tail(ended.stdout)}`)
    }
  }

  /** SIGSTOP, and SIGCONT behind that time. */
  async pause(ms: number): Promise<void> {
    const { pid } = this.gateway
    if (pid === undefined) return
    process.kill(pid, 'SIGSTOP')
    await sleep(ms)
    process.kill(pid, 'SIGCONT')
  }

  /** Resolves when `/readyz` says so. */
  async settled(): Promise<void> {
    const { program } = this.gateway
    if (program !== undefined && !(await this.becomesReady(program)) && program.running)
      this.onFault(`${this.name} is not ready`)
  }

  /** Bytes in memory; 0 while it does not run. */
  async memory(): Promise<number> {
    try {
      const { text } = await this.gateway.admin('/metrics')
      return Number(/^process_resident_memory_bytes(?:\{.*\})? (\S+)$/m.exec(text)?.[1] ?? 0)
    } catch {
      return 0
    }
  }

  private async becomesReady(program: OpenClaw): Promise<boolean> {
    const deadline = performance.now() + PATIENCE_MS
    while (program.running && performance.now() < deadline) {
      if (await this.gateway.ready()) return true
      await sleep(LOOK_MS)
    }
    return false
  }

  private watch(program: OpenClaw): void {
    void program.exited.then(({ code, signal }) => {
      if (this.endingRun !== program)
        this.onFault(`${this.name} ended by itself with ${code ?? signal}:\n${tail(program.output)}`)
    })
  }
}

/** When Redis could be reached, as far as the test decides it. */
export interface RedisTimes {
  /** Resolves when it runs. */
  present(): Promise<void>
  awaySince(time: number): boolean
}

function tail(output: string): string {
  return output.slice(-4_000)
}
