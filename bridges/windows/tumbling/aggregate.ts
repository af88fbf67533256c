/** What can be said of the readings of a window. The first five are always there. */
export const aggregateNames = ['count', 'min', 'max', 'avg', 'last', 'first', 'sum', 'stddev'] as const
export type AggregateName = (typeof aggregateNames)[number]

/** Running figures over numbers of up to 1e150, in constant memory. */
export class Aggregate {
  private count = 0
  private min = Infinity
  private max = -Infinity
  private sum = 0
  private mean = 0
  /** Sum of squared distances from the mean (Welford): stays exact where a sum of squares would cancel out. */
  private squares = 0
  private first = 0
  private firstTime = Infinity
  private last = 0
  private lastTime = -Infinity

  add(value: number, time: number): void {
    this.count++
    if (value < this.min) this.min = value
    if (value > this.max) this.max = value
    this.sum += value
    const distance = value - this.mean
    this.mean += distance / this.count
    this.squares += distance * (value - this.mean)
    if (time < this.firstTime) {
      this.firstTime = time
      this.first = value
    }
    // Of two readings of one time the later one to arrive is the last.
    if (time >= this.lastTime) {
      this.lastTime = time
      this.last = value
    }
  }

  figures(names: readonly AggregateName[]): Record<string, number> {
    const figures: Record<string, number> = {}
    for (const name of names) figures[name] = this.figure(name)
    return figures
  }

  private figure(name: AggregateName): number {
    switch (name) {
      case 'count':
        return this.count
      case 'min':
        return this.min
      case 'max':
        return this.max
      case 'avg':
        return this.sum / this.count
      case 'last':
        return this.last
      case 'first':
        return this.first
      case 'sum':
        return this.sum
      case 'stddev':
        // Of the population: the readings of a window are all there are.
        return Math.sqrt(this.squares / this.count)
    }
  }
}
