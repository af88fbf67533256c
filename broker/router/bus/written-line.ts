import type { GatewayError } from '../../contract/errors.js'
import type { WriteDone } from '../../contract/store.js'

/** The entries that were begun in one turn, and who waits for them and all earlier ones. */
export interface Round {
  /** Entries that are not in Redis yet. */
  open: number
  readonly waiting: { readonly done: WriteDone; readonly error: GatewayError | undefined }[]
}

/** Who waits until what was handed over is in Redis: told in the order of the calls, one round a turn. */
export class WrittenLine {
  private rounds: Round[] = []
  private current: Round = newRound()

  constructor(private readonly onDefect: (error: unknown) => void) {}

  /** An entry has been begun; to be given back to `end`. */
  begin(): Round {
    this.current.open++
    return this.current
  }

  /** The entry is in Redis, or has lost its receiver. */
  end(round: Round): void {
    round.open--
    this.advance()
  }

  /** Calls back when every entry that has been begun is in Redis; at once when none is not. */
  wait(done: WriteDone, error: GatewayError | undefined): void {
    const last = this.current.open > 0 ? this.current : this.rounds.at(-1)
    if (last === undefined) done(error)
    else last.waiting.push({ done, error })
  }

  /** The turn is over: what is begun from here on belongs to the next round. */
  turn(): void {
    if (this.current.open === 0 && this.current.waiting.length === 0) return
    this.rounds.push(this.current)
    this.current = newRound()
    this.advance()
  }

  /** Nothing is written any more. */
  fail(error: GatewayError): void {
    const rounds = [...this.rounds, this.current]
    this.rounds = []
    this.current = newRound()
    for (const { waiting } of rounds) for (const { done } of waiting) this.tell(done, error)
  }

  private advance(): void {
    for (let first = this.rounds[0]; first?.open === 0; first = this.rounds[0]) {
      this.rounds.shift()
      for (const { done, error } of first.waiting) this.tell(done, error)
    }
  }

  /** One that throws keeps nothing from the others. */
  private tell(done: WriteDone, error: GatewayError | undefined): void {
    try {
      done(error)
    } catch (defect) {
      this.onDefect(defect)
    }
  }
}

function newRound(): Round {
  return { open: 0, waiting: [] }
}
