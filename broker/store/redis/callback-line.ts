/** The place of one write in the order of the calls. */
export interface Ticket {
  /** Its end is known: `tell` is called once everything before it has been told. Call it once. */
  settle(tell: () => void): void
}

interface Place extends Ticket {
  tell: (() => void) | undefined
}

/**
 * Tells writes their end in the order of the calls, although partitions of a Cluster finish in any order.
 *
 * A partition that does not answer holds up what was called after it. That costs nothing that was there: a
 * Cluster that has lost a master and its replicas takes no writes at all (`cluster-require-full-coverage`).
 */
export class CallbackLine {
  private places: Place[] = []
  private head = 0

  enter(): Ticket {
    const place: Place = {
      tell: undefined,
      settle: (tell) => {
        place.tell = tell
        if (this.places[this.head] === place) this.advance()
      },
    }
    this.places.push(place)
    return place
  }

  /** Resolves when everything called before has been told. */
  settled(): Promise<void> {
    if (this.head === this.places.length) return Promise.resolve()
    return new Promise((resolve) => this.enter().settle(resolve))
  }

  private advance(): void {
    for (let place = this.places[this.head]; place?.tell !== undefined; place = this.places[this.head]) {
      this.head++
      if (this.head === this.places.length) {
        this.places = []
        this.head = 0
      } else if (this.head >= COMPACT_AT) {
        this.places = this.places.slice(this.head)
        this.head = 0
      }
      try {
        place.tell()
      } catch (error) {
        // What a callback throws is a defect and gets out; the others are told all the same.
        queueMicrotask(() => this.advance())
        throw error
      }
    }
  }
}

const COMPACT_AT = 1_024
