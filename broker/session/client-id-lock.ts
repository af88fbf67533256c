/**
 * Runs what concerns one client id one at a time: CONNECT, takeover, close and expiry. Aedes has no such lock:
 * three registrations of one id in a tick leave a client that nobody owns.
 *
 * Holds an entry only for ids with something under way, so that it is bounded by the connections.
 */
export class ClientIdLock {
  private readonly tails = new Map<string, Promise<unknown>>()

  /** Runs `task` after all earlier ones of the same id have settled. Settles as `task` does. */
  run<T>(clientId: string, task: () => Promise<T>): Promise<T> {
    const before = this.tails.get(clientId)
    const result = before === undefined ? task() : before.then(task)
    // What waits behind this one does not care how it ended; whoever called `run` does.
    const tail = result.then(
      () => {},
      () => {},
    )
    this.tails.set(clientId, tail)
    void tail.then(() => {
      if (this.tails.get(clientId) === tail) this.tails.delete(clientId)
    })
    return result
  }

  /** Resolves when nothing is under way for any id. */
  async idle(): Promise<void> {
    while (this.tails.size > 0) await Promise.all(this.tails.values())
  }
}
