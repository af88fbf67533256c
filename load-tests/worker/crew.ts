import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { GatewayError, type ErrorCode } from '../../broker/contract/errors.js'
import { pinned } from '../peers/cores.js'
import type { AnswerOf, ArgumentOf, StepName, StepReply, StepRequest } from './protocol.js'

/** Processes that make load together. */
export class Crew {
  private constructor(private readonly workers: readonly Worker[]) {}

  /** `cores`: where they run, as `taskset` writes it; undefined: anywhere. */
  static start(count: number, cores: string | undefined): Crew {
    return new Crew(Array.from({ length: count }, () => new Worker(cores)))
  }

  get size(): number {
    return this.workers.length
  }

  /** All do the same step; `argumentFor` gives each its part. The answers, in the order of the workers. */
  async all<Name extends StepName>(
    step: Name,
    argumentFor: (worker: number) => ArgumentOf<Name>,
  ): Promise<AnswerOf<Name>[]> {
    return Promise.all(this.workers.map((worker, index) => worker.call(step, argumentFor(index))))
  }

  /** A step of the first one alone. */
  async one<Name extends StepName>(step: Name, argument: ArgumentOf<Name>): Promise<AnswerOf<Name>> {
    const [first] = this.workers
    if (first === undefined) throw new RangeError('a crew has at least one worker')
    return first.call(step, argument)
  }

  async stop(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.stop()))
  }
}

class Worker {
  private readonly child: ChildProcess
  private readonly waiting = new Map<
    number,
    { resolve: (value: unknown) => void; reject: (error: Error) => void }
  >()
  private lastId = 0
  private over: GatewayError | undefined

  constructor(cores: string | undefined) {
    const file = fileURLToPath(new URL('./main.js', import.meta.url))
    const [command, ...args] = pinned(cores, [process.execPath, file])
    this.child = spawn(command, args, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    })
    this.child.on('message', (reply: StepReply) => this.answered(reply))
    this.child.once('error', (error) => this.ended(error.message))
    this.child.once('exit', (code, signal) => this.ended(`exit ${code ?? signal ?? ''}`))
  }

  call<Name extends StepName>(step: Name, argument: ArgumentOf<Name>): Promise<AnswerOf<Name>> {
    return new Promise((resolve, reject) => {
      if (this.over !== undefined) {
        reject(this.over)
        return
      }
      const request: StepRequest = { id: ++this.lastId, step, argument }
      this.waiting.set(request.id, { resolve: resolve as (value: unknown) => void, reject })
      this.child.send(request)
    })
  }

  async stop(): Promise<void> {
    if (this.over !== undefined) return
    const exited = once(this.child, 'exit')
    this.child.disconnect()
    await exited
  }

  private answered(reply: StepReply): void {
    const waiter = this.waiting.get(reply.id)
    this.waiting.delete(reply.id)
    if (reply.ok) waiter?.resolve(reply.value)
    else waiter?.reject(new GatewayError(reply.code as ErrorCode, reply.message))
  }

  private ended(why: string): void {
    this.over = new GatewayError('INTERNAL', `a worker of the load test has ended: ${why}`)
    for (const { reject } of this.waiting.values()) reject(this.over)
    this.waiting.clear()
  }
}
