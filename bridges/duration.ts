import { z } from 'zod'

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}
const PATTERN = /^(\d{1,9})(ms|s|m|h|d)$/

/** A time span as settings have it: `500ms`, `10s`, `1m`, `2h`, `1d`. */
export interface Duration {
  readonly ms: number
  /** As written, so that `60s` stays `60s` where it becomes part of a topic. */
  readonly text: string
}

export interface DurationRange {
  readonly min: string
  readonly max: string
}

/** Schema of a time span within a range; parses to `Duration`. */
export function duration({ min, max }: DurationRange) {
  const lowest = parseDuration(min)?.ms ?? 0
  const highest = parseDuration(max)?.ms ?? Infinity
  const allowed = `a time span from ${min} to ${max}, as in \`500ms\`, \`10s\`, \`1m\`, \`2h\`, \`1d\``
  return z
    .string(allowed)
    .refine((text) => {
      const parsed = parseDuration(text)
      return parsed !== undefined && parsed.ms >= lowest && parsed.ms <= highest
    }, allowed)
    .transform((text): Duration => parseDuration(text) ?? { ms: lowest, text })
}

export function parseDuration(text: string): Duration | undefined {
  const [, count, unit] = PATTERN.exec(text) ?? []
  const factor = unit === undefined ? undefined : UNITS[unit]
  return factor === undefined ? undefined : { ms: Number(count) * factor, text }
}
