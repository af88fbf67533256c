import type { Clock, Timer } from '../../contract/clock.js'
import type { SharedStore } from '../../contract/store.js'

/** Between two looks for sessions whose time has come, milliseconds. */
const LOOK_MS = 1_000
/** Sessions that one look takes on. While it finds as many, the next one follows at once. */
const MOST = 100

/**
 * Sessions that have expired, whichever node they were connected to: each is ended by the node that is given it first.
 */
export class ExpiryWatch {
  private timer: Timer | undefined
  private looking: Promise<void> | undefined
  private stopped = false

  constructor(
    private readonly store: Pick<SharedStore, 'claimExpired'>,
    private readonly clock: Clock,
    /** Ends one of them. */
    private readonly expire: (clientId: string) => Promise<void>,
    private readonly onDefect: (error: unknown) => void,
  ) {}

  start(): void {
    this.stopped = false
    this.lookLater()
  }

  /** Resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.stopped = true
    this.timer?.cancel()
    await this.looking
  }

  private lookLater(): void {
    if (this.stopped) return
    this.timer = this.clock.schedule(LOOK_MS, () => {
      this.looking = this.look()
        .catch(this.onDefect)
        .finally(() => this.lookLater())
    })
  }

  private async look(): Promise<void> {
    for (;;) {
      const clientIds = await this.store.claimExpired(MOST)
      await Promise.all(clientIds.map((clientId) => this.expire(clientId).catch(this.onDefect)))
      if (clientIds.length < MOST || this.stopped) return
    }
  }
}
