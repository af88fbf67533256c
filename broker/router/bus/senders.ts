/** Names of nodes that have left and are still known. */
const DEPARTED_KEPT = 1_024

export type Arrival = 'next' | 'duplicate' | 'gap'

/**
 * The last number of every sender: what tells an entry that comes twice, and one that is missing. Numbers begin
 * with 1. A node that has left is still known for a while: entries of it may be unread.
 */
export class Senders {
  private readonly last = new Map<string, number>()
  private readonly departed = new Set<string>()

  arrived(sender: string, number: number): Arrival {
    const last = this.last.get(sender) ?? 0
    if (number <= last) return 'duplicate'
    this.last.set(sender, number)
    return number === last + 1 ? 'next' : 'gap'
  }

  left(node: string): void {
    this.departed.add(node)
    if (this.departed.size <= DEPARTED_KEPT) return
    const [oldest] = this.departed
    if (oldest === undefined) return
    this.departed.delete(oldest)
    this.last.delete(oldest)
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
  }
}
