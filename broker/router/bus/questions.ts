import type { Clock } from '../../contract/clock.js'

/** Questions that may be open at a time; more are answered with no. */
const MOST_OPEN = 10_000

interface Open {
  readonly node: string
  readonly end: (answered: boolean) => void
}

/** Questions to other nodes that wait for their answers. */
export class Questions {
  private readonly open = new Map<number, Open>()
  private last = 0

  constructor(private readonly clock: Clock) {}

  /** `send` hands the question over under the given id, or says that there is no room. */
  ask(node: string, withinMs: number, send: (id: number) => boolean): Promise<boolean> {
    if (this.open.size >= MOST_OPEN) return Promise.resolve(false)
    const id = ++this.last
    if (!send(id)) return Promise.resolve(false)
    return new Promise((resolve) => {
      const end = (answered: boolean): void => {
        timer.cancel()
        this.open.delete(id)
        resolve(answered)
      }
      const timer = this.clock.schedule(withinMs, () => end(false))
      this.open.set(id, { node, end })
    })
  }

  /** An answer that nobody waits for any more is passed over. */
  answered(node: string, id: number): void {
    const question = this.open.get(id)
    if (question?.node === node) question.end(true)
  }

  left(node: string): void {
    for (const question of this.open.values()) if (question.node === node) question.end(false)
  }

  end(): void {
    for (const question of this.open.values()) question.end(false)
  }
}
