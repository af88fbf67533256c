/** One closed window, as bridges publish it; times in milliseconds since the epoch. */
export interface FeedPoint {
  readonly start: number
  readonly end: number
  readonly count: number
  readonly min: number
  readonly max: number
  readonly avg: number
  readonly last: number
}

/** Where a feed comes from: `feeds/<site>/<room>/<metric>/<window>`. */
export interface FeedName {
  readonly site: string
  readonly room: string
  readonly metric: string
  readonly window: string
}

export type FeedMessage =
  | { readonly kind: 'point'; readonly name: FeedName; readonly points: readonly FeedPoint[] }
  | { readonly kind: 'history'; readonly name: FeedName; readonly points: readonly FeedPoint[] }

/** Undefined for anything that is not a feed: the page shows what it understands and leaves the rest alone. */
export function parseFeedMessage(topic: string, payload: string): FeedMessage | undefined {
  const [root, site, room, metric, window, tail, ...more] = topic.split('/')
  if (root !== 'feeds' || !site || !room || !metric || !window || more.length > 0) return undefined
  if (tail !== undefined && tail !== 'history') return undefined
  const name = { site, room, metric, window }
  const body = parseJson(payload)
  if (tail === undefined) {
    return isPoint(body) ? { kind: 'point', name, points: [body] } : undefined
  }
  const points = isRecord(body) && Array.isArray(body['points']) ? body['points'].filter(isPoint) : []
  return { kind: 'history', name, points }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isPoint(value: unknown): value is FeedPoint {
  if (!isRecord(value)) return false
  return ['start', 'end', 'count', 'min', 'max', 'avg', 'last'].every((key) => Number.isFinite(value[key]))
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
