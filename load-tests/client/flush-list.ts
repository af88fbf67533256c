/**
 * Connections with something to send. What the packets of one read bring about is sent when the read has been worked
 * off, so that all that goes to one connection is one write.
 */
export class FlushList {
  /** Counts reads: whoever needs the time looks at the clock once a read, not once a packet. */
  turn = 0
  private waiting: { flush(): void }[] = []

  add(connection: { flush(): void }): void {
    this.waiting.push(connection)
  }

  flush(): void {
    this.turn++
    const { waiting } = this
    if (waiting.length === 0) return
    this.waiting = []
    for (const connection of waiting) connection.flush()
  }
}
