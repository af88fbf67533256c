/**
 * The monotonic clock of the machine, which all its processes share (`performance.now` counts from the start of
 * its own), read without allocating.
 */
const offset = Number(process.hrtime.bigint()) / 1e6 - performance.now()

/** Milliseconds, with fractions. */
export function monotonicMs(): number {
  return performance.now() + offset
}

/** Microseconds modulo 2^32: a difference of two, `>>> 0`, is right up to 71 minutes. */
export function monotonicMicros(): number {
  return Math.floor(monotonicMs() * 1_000) >>> 0
}
