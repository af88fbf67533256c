/**
 * A drain empties a node without ending it: it is no longer ready, takes no new clients, and asks those that are
 * connected to leave, so many a second. What is durable stays in the store.
 */
export interface DrainStatus {
  /**
   * `announced`: not ready any more, so that load balancers turn away; clients are still taken. `leaving`: no new
   * ones, the others are being asked to leave. `drained`: the process may be ended, and nobody notices.
   */
  readonly phase: 'serving' | 'announced' | 'leaving' | 'drained'
  /** Connected now. */
  readonly clients: number
  /** Connected when the drain began; 0 while there is none. */
  readonly clientsAtStart: number
  /** From the begin of the drain to its end, or to now; 0 while there is none. To the millisecond. */
  readonly seconds: number
}

export interface Drainable {
  /** Begins a drain; does nothing when one has begun. */
  begin(): void
  status(): DrainStatus
}
