import { filtersOverlap } from '../broker/contract/topic.js'
import type { Fault } from '../config/problem.js'

/** A pipeline by the topics that it reads and publishes: filters, where they hold captures. */
export interface Route {
  readonly name: string
  readonly reads: string | undefined
  readonly publishes: readonly string[]
}

/**
 * Pipelines that feed each other in a circle: one message would go round for ever, thousands of times a second. (One
 * that feeds itself is a fault of its own entry.)
 */
export function cycles(routes: readonly Route[]): readonly Fault[] {
  const feeds = routes.map(({ publishes }, from) =>
    routes.flatMap(({ reads }, to) =>
      from !== to && reads !== undefined && publishes.some((filter) => filtersOverlap(filter, reads))
        ? [to]
        : [],
    ),
  )
  return routes.flatMap((_route, index) => {
    const way = wayBack(index, feeds)
    // Told once, at the first of them.
    if (way === undefined || Math.min(...way) !== index) return []
    const names = [...way, index].map((each) => routes[each]?.name)
    return [
      {
        path: ['pipelines', index, 'sink'],
        found: `the beginning of a circle: ${names.join(' -> ')}`,
        allowed: 'pipelines whose results do not come back to them',
      },
    ]
  })
}

/** The shortest way from a pipeline to itself, without its end; undefined: there is none. */
function wayBack(start: number, feeds: readonly (readonly number[])[]): readonly number[] | undefined {
  const ways: (readonly number[])[] = [[start]]
  const seen = new Set<number>()
  for (const way of ways) {
    for (const next of feeds[way.at(-1) ?? start] ?? []) {
      if (next === start) return way
      if (seen.has(next)) continue
      seen.add(next)
      ways.push([...way, next])
    }
  }
  return undefined
}
