/** Messages a second over the last ten seconds. */
export class RateMeter {
  private readonly buckets = new Map<number, number>()

  count(now: number): void {
    const second = Math.floor(now / 1000)
    this.buckets.set(second, (this.buckets.get(second) ?? 0) + 1)
  }

  rate(now: number): number {
    const second = Math.floor(now / 1000)
    let sum = 0
    for (const [bucket, count] of this.buckets) {
      if (bucket < second - SECONDS) this.buckets.delete(bucket)
      else if (bucket < second) sum += count
    }
    return sum / SECONDS
  }
}

const SECONDS = 10
