import type { FeedMessage, FeedName, FeedPoint } from './feed.js'

/** Points kept a feed: an hour of five-second windows. */
const MAX_POINTS = 720

/** Feeds kept; further ones are counted, not shown, so that a wild publisher cannot fill the tab's memory. */
const MAX_FEEDS = 2_000

export interface Feed {
  readonly key: string
  readonly name: FeedName
  /** In order of time. */
  readonly points: FeedPoint[]
  /** Goes up with each change: what was drawn at the same revision is still right. */
  revision: number
}

/** All feeds that the page has heard of. */
export class FeedStore {
  readonly feeds = new Map<string, Feed>()
  turnedAway = 0

  /** Adds what a message brings. Returns the feed, or undefined when there is no room for another one. */
  add(message: FeedMessage): Feed | undefined {
    const { site, room, metric, window } = message.name
    const key = `${site}/${room}/${metric}/${window}`
    let feed = this.feeds.get(key)
    if (feed === undefined) {
      if (this.feeds.size >= MAX_FEEDS) {
        this.turnedAway++
        return undefined
      }
      feed = { key, name: message.name, points: [], revision: 0 }
      this.feeds.set(key, feed)
    }
    for (const point of message.points) insert(feed.points, point)
    if (feed.points.length > MAX_POINTS) feed.points.splice(0, feed.points.length - MAX_POINTS)
    feed.revision++
    return feed
  }

  /** Windows in order of length. */
  windows(): string[] {
    const names = new Set([...this.feeds.values()].map(({ name }) => name.window))
    return [...names].sort((a, b) => durationOf(a) - durationOf(b))
  }
}

/** Almost always at the end; history may bring what is there already, or what a reconnect missed. */
function insert(points: FeedPoint[], point: FeedPoint): void {
  let at = points.length
  while (at > 0 && (points[at - 1] as FeedPoint).end > point.end) at--
  if (at > 0 && (points[at - 1] as FeedPoint).end === point.end) points[at - 1] = point
  else points.splice(at, 0, point)
}

/** Seconds of a window name such as `5s` or `1m`; names of another form sort last. */
export function durationOf(window: string): number {
  const match = /^(\d+)(ms|s|m|h|d)$/.exec(window)
  if (match === null) return Infinity
  const seconds = { ms: 0.001, s: 1, m: 60, h: 3_600, d: 86_400 }[match[2] as 'ms' | 's' | 'm' | 'h' | 'd']
  return Number(match[1]) * seconds
}
