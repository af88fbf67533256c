/**
 * The algebra of topics: the only place that validates and compares topic names and topic filters.
 * MQTT 5, 4.7 and 1.5.4; MQTT 3.1.1, 4.7 and 1.5.3.
 *
 * Levels may be empty: `/x` has two levels, `a//b` three [MQTT-4.7.3-1].
 */

const SHARE_PREFIX = '$share/'
const MAX_ENCODED_BYTES = 65_535

export interface TopicLimits {
  /** Levels a topic name or filter may have, 1 to 100 (the ceiling of Aedes). */
  readonly maxLevels: number
  /** UTF-8 bytes a topic name, filter or share name may have, 1 to 65,535. */
  readonly maxBytes: number
}

export type TopicFault =
  | 'empty' // [MQTT-4.7.3-1]
  | 'null-character' // [MQTT-4.7.3-2]
  | 'too-long' // [MQTT-4.7.3-3], or above the configured bound
  | 'too-many-levels'
  | 'wildcard-in-name' // [MQTT-3.3.2-2]
  | 'wildcard-misplaced' // [MQTT-4.7.1-1], [MQTT-4.7.1-2]
  | 'share-malformed' // [MQTT-4.8.2-1], [MQTT-4.8.2-2]

/** What is wrong with a topic name, or undefined. */
export function topicNameFault(topic: string, limits: TopicLimits): TopicFault | undefined {
  const fault = sizeFault(topic, limits)
  if (fault !== undefined) return fault
  for (let i = 0; i < topic.length; i++) {
    const code = topic.charCodeAt(i)
    if (code === PLUS || code === HASH) return 'wildcard-in-name'
  }
  return undefined
}

/** What is wrong with a topic filter (without a `$share/` prefix), or undefined. */
export function topicFilterFault(filter: string, limits: TopicLimits): TopicFault | undefined {
  const fault = sizeFault(filter, limits)
  if (fault !== undefined) return fault
  const last = filter.length - 1
  for (let i = 0; i <= last; i++) {
    const code = filter.charCodeAt(i)
    if (code !== PLUS && code !== HASH) continue
    const startsLevel = i === 0 || filter.charCodeAt(i - 1) === SLASH
    const endsLevel = i === last || (code === PLUS && filter.charCodeAt(i + 1) === SLASH)
    if (!startsLevel || !endsLevel) return 'wildcard-misplaced'
  }
  return undefined
}

export interface ParsedFilter {
  readonly filter: string
  /** Share name, for `$share/name/filter`. */
  readonly share: string | undefined
}

/** Takes a filter as SUBSCRIBE brings it apart and validates it. */
export function parseFilter(text: string, limits: TopicLimits): ParsedFilter | TopicFault {
  if (!text.startsWith(SHARE_PREFIX))
    return topicFilterFault(text, limits) ?? { filter: text, share: undefined }
  const end = text.indexOf('/', SHARE_PREFIX.length)
  const share = end < 0 ? text.slice(SHARE_PREFIX.length) : text.slice(SHARE_PREFIX.length, end)
  if (end < 0 || share === '' || hasWildcard(share) || share.includes('\0')) return 'share-malformed'
  if (Buffer.byteLength(share) > limits.maxBytes) return 'too-long'
  const filter = text.slice(end + 1)
  if (filter === '') return 'share-malformed'
  return topicFilterFault(filter, limits) ?? { filter, share }
}

/** The text of a parsed filter, as the client wrote it. */
export function formatFilter({ filter, share }: ParsedFilter): string {
  return share === undefined ? filter : `${SHARE_PREFIX}${share}/${filter}`
}

/**
 * Whether a valid filter matches a valid topic name. Wildcards at the first level do not match topics that
 * begin with `$` [MQTT-4.7.2-1]; `a/#` matches `a` too (4.7.1.2).
 */
export function filterMatches(filter: string, topic: string): boolean {
  if (filter === topic) return true
  if (hiddenFrom(filter, topic)) return false
  let f = 0
  let t = 0
  while (f < filter.length) {
    const code = filter.charCodeAt(f)
    if (code === HASH) return true
    if (code === PLUS) {
      f++
      while (t < topic.length && topic.charCodeAt(t) !== SLASH) t++
    } else {
      while (f < filter.length && filter.charCodeAt(f) !== SLASH) {
        if (t >= topic.length || filter.charCodeAt(f) !== topic.charCodeAt(t)) return false
        f++
        t++
      }
    }
    if (f === filter.length) return t === topic.length
    // The filter goes on with a slash.
    if (t === topic.length) return filter.endsWith('/#') && f === filter.length - 2
    if (topic.charCodeAt(t) !== SLASH) return false
    f++
    t++
    // `a/` against the filter `a/`: both ended behind the slash.
    if (f === filter.length) return t === topic.length
  }
  return t === topic.length
}

/** Whether every topic that `inner` matches is matched by `outer`. */
export function filterCovers(outer: string, inner: string): boolean {
  if (outer === inner) return true
  if (isWildcardLevel(firstLevel(outer)) && inner.startsWith('$')) return false
  const a = outer.split('/')
  const b = withoutEmptyTopic(inner).split('/')
  for (const [i, level] of a.entries()) {
    if (level === '#') return true
    const other = b[i]
    if (other === undefined || other === '#') return false
    if (level !== '+' && level !== other) return false
    // `a/#` covers `a`: the only way in which the outer one may be longer.
    if (i === b.length - 1 && a.length === b.length + 1 && a[i + 1] === '#') return true
  }
  return a.length === b.length
}

/** Whether some topic is matched by both filters. */
export function filtersOverlap(left: string, right: string): boolean {
  if (isWildcardLevel(firstLevel(left)) && right.startsWith('$')) return false
  if (isWildcardLevel(firstLevel(right)) && left.startsWith('$')) return false
  const a = withoutEmptyTopic(left).split('/')
  const b = withoutEmptyTopic(right).split('/')
  for (let i = 0; ; i++) {
    const x = a[i]
    const y = b[i]
    if (x === '#' || y === '#') return true
    if (x === undefined || y === undefined) return x === y
    if (x !== '+' && y !== '+' && x !== y) return false
  }
}

/** Levels of a topic name or filter: one more than it has slashes. */
export function levelCount(topic: string): number {
  let levels = 1
  for (let i = 0; i < topic.length; i++) if (topic.charCodeAt(i) === SLASH) levels++
  return levels
}

/** Whether wildcards at the first level of the filter hide the topic, which begins with `$` [MQTT-4.7.2-1]. */
export function hiddenFrom(filter: string, topic: string): boolean {
  if (topic.charCodeAt(0) !== DOLLAR) return false
  const first = filter.charCodeAt(0)
  return first === PLUS || first === HASH
}

export function hasWildcard(filter: string): boolean {
  return filter.includes('+') || filter.includes('#')
}

const PLUS = 0x2b
const HASH = 0x23
const SLASH = 0x2f
const DOLLAR = 0x24

function sizeFault(topic: string, limits: TopicLimits): TopicFault | undefined {
  if (topic.length === 0) return 'empty'
  const maxBytes = Math.min(limits.maxBytes, MAX_ENCODED_BYTES)
  // A UTF-16 unit takes one to three bytes of UTF-8: most topics are decided without counting.
  if (topic.length > maxBytes) return 'too-long'
  if (topic.length * 3 > maxBytes && Buffer.byteLength(topic) > maxBytes) return 'too-long'
  if (topic.includes('\0')) return 'null-character'
  if (levelCount(topic) > limits.maxLevels) return 'too-many-levels'
  return undefined
}

function firstLevel(filter: string): string {
  const end = filter.indexOf('/')
  return end < 0 ? filter : filter.slice(0, end)
}

/**
 * The same filter, written so that it does not seem to match the empty topic, which does not exist [MQTT-4.7.3-1]:
 * `#` needs a level, and `/#` does not match its parent.
 */
function withoutEmptyTopic(filter: string): string {
  if (filter === '#') return '+/#'
  return filter === '/#' ? '/+/#' : filter
}

function isWildcardLevel(level: string): boolean {
  return level === '+' || level === '#'
}
