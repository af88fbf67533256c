/** Names of nodes that have left and are still known. */
const DEPARTED_KEPT = 1_024

export type Arrival = 'next' | 'duplicate' | 'gap'

/**
 * The last number of every sender: what tells an entry that comes twice, and one that is missing. Numbers begin
 * with 1. A node that has left is still known for a while: entries of it may be unread, and should it come back under its
 * name it remembers what it had got from here.
 */
export class Senders {
  private readonly last = new Map<string, number>()
  private readonly departed = new Set<string>()
  private readonly sent = new Map<string, number>()

  arrived(sender: string, number: number): Arrival {
    const last = this.last.get(sender) ?? 0
    if (number <= last) return 'duplicate'
    this.last.set(sender, number)
    return number === last + 1 ? 'next' : 'gap'
  }

  /** `sent`: the last number that was given to an entry for the node; undefined: there was none since it left before. */
  left(node: string, sent: number | undefined): void {
    this.departed.add(node)
    if (sent !== undefined) this.sent.set(node, sent)
    if (this.departed.size <= DEPARTED_KEPT) return
    const [oldest] = this.departed
    if (oldest === undefined) return
    this.departed.delete(oldest)
    this.last.delete(oldest)
    this.sent.delete(oldest)
  }

  /** The last number that was given to an entry for the node before it left; 0: none. */
  sentTo(node: string): number {
    return this.sent.get(node) ?? 0
  }

  /** It was taken for one that has left, and had not been heard of. */
  joined(node: string): void {
    this.departed.delete(node)
  }

  hasLeft(node: string): boolean {
    return this.departed.has(node)
  }

  clear(): void {
    this.last.clear()
    this.departed.clear()
    this.sent.clear()
  }
}
