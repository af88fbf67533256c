/**
 * Which inputs of a pipeline are done with. Sources settle in order and in bulk (MQTT wants PUBACK in the order of
 * the PUBLISH packets [MQTT-4.6.0-2]), while records finish in any order and one input may be in several results:
 * the ledger counts what holds each token, and settles the front as soon as nothing holds it.
 */
export class Ledger {
  /** Holders by token, from `first` on. Starts of the array are spent and cut off now and then. */
  private holders: number[] = []
  private spent = 0
  private first = 0

  /** `settle` gets the last token of a run that is done with. */
  constructor(private readonly settle: (token: number) => void) {}

  /** Tokens that are not settled yet. */
  get unsettled(): number {
    return this.holders.length - this.spent
  }

  /** Every token below this one is settled. */
  get floor(): number {
    return this.first
  }

  /** A token has come in and is held once. Tokens come in consecutively. */
  add(token: number): void {
    if (this.unsettled === 0) {
      this.holders.length = 0
      this.spent = 0
      this.first = token
    }
    this.holders.push(1)
  }

  /** The tokens are held by so many more. */
  hold(tokens: readonly number[], more: number): void {
    for (const token of tokens) this.change(token, more)
  }

  /** One holder has let go of the tokens. */
  release(tokens: readonly number[]): void {
    if (tokens.length === 0) return
    for (const token of tokens) this.change(token, -1)
    this.settleFront()
  }

  /** Settles the oldest tokens, whoever holds them, until so many are left. Returns how many it were. */
  settleOldest(remaining: number): number {
    const count = Math.max(0, this.unsettled - remaining)
    for (let i = 0; i < count; i++) this.holders[this.spent + i] = 0
    if (count > 0) this.settleFront()
    return count
  }

  private change(token: number, by: number): void {
    // Settled early: those that still hold it find it gone.
    if (token < this.first) return
    const index = this.spent + token - this.first
    this.holders[index] = (this.holders[index] ?? 0) + by
  }

  private settleFront(): void {
    const before = this.spent
    while (this.spent < this.holders.length && (this.holders[this.spent] ?? 0) <= 0) this.spent++
    if (this.spent === before) return
    this.first += this.spent - before
    if (this.spent > 1_024 && this.spent * 2 > this.holders.length) {
      this.holders = this.holders.slice(this.spent)
      this.spent = 0
    }
    this.settle(this.first - 1)
  }
}
