import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  filterCovers,
  filterMatches,
  filtersOverlap,
  formatFilter,
  levelCount,
  parseFilter,
  topicFilterFault,
  topicNameFault,
} from './topic.js'

const limits = { maxLevels: 100, maxBytes: 65_535 }

/** MQTT 5, 4.7 taken literally, level by level. */
function modelMatches(filter: readonly string[], topic: readonly string[], first = true): boolean {
  const [level, ...filterRest] = filter
  const [name, ...topicRest] = topic
  if (level === undefined) return name === undefined
  const hidden = first && (topic[0] ?? '').startsWith('$')
  if (level === '#') return !hidden
  if (name === undefined) return false
  if (level === '+' ? hidden : level !== name) return false
  // The multi-level wildcard includes the parent level.
  if (topicRest.length === 0 && filterRest.length === 1 && filterRest[0] === '#') return true
  return modelMatches(filterRest, topicRest, false)
}

function sequences(alphabet: readonly string[], maxLength: number): string[][] {
  let longest: string[][] = [[]]
  const all: string[][] = []
  for (let length = 1; length <= maxLength; length++) {
    longest = longest.flatMap((sequence) => alphabet.map((item) => [...sequence, item]))
    all.push(...longest)
  }
  return all
}

/** Every valid filter of up to three levels over a small alphabet, `$` and empty levels included. */
const filters = sequences(['', 'a', 'b', '$s', '+', '#'], 3)
  .filter((levels) => !levels.slice(0, -1).includes('#'))
  .map((levels) => levels.join('/'))
  .filter((filter) => filter !== '')

/**
 * Every topic of up to four levels: one more than the filters have, and one name (`z`) that no filter has, so that
 * what holds for these holds for all.
 */
const topics = sequences(['', 'a', 'b', '$s', 'z'], 4)
  .map((levels) => levels.join('/'))
  .filter((topic) => topic !== '')

const matchedTopics = new Map(
  filters.map((filter) => [
    filter,
    Uint8Array.from(topics, (topic) => Number(modelMatches(filter.split('/'), topic.split('/')))),
  ]),
)

function matchedBy(filter: string): Uint8Array {
  const matched = matchedTopics.get(filter)
  if (matched === undefined) throw new Error(`no such filter: ${filter}`)
  return matched
}

describe('filterMatches', () => {
  it('agrees with the specification on every small filter and topic [MQTT-4.7.1-1] [MQTT-4.7.1-2]', () => {
    const wrong: string[] = []
    for (const filter of filters) {
      const matched = matchedBy(filter)
      topics.forEach((topic, index) => {
        if (filterMatches(filter, topic) !== (matched[index] === 1)) wrong.push(`${filter} with ${topic}`)
      })
    }
    expect(wrong).toEqual([])
  })

  it.each([
    ['sport/tennis/player1/#', 'sport/tennis/player1', true],
    ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', true],
    ['sport/#', 'sport', true],
    ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
    ['sport/+', 'sport', false],
    ['sport/+', 'sport/', true],
    ['+/+', '/finance', true],
    ['/+', '/finance', true],
    ['+', '/finance', false],
  ])('%s with %s, the examples of section 4.7.1: %s', (filter, topic, expected) => {
    expect(filterMatches(filter, topic)).toBe(expected)
  })

  it.each([
    ['#', '$SYS/x', false],
    ['+/monitor/Clients', '$SYS/monitor/Clients', false],
    ['$SYS/#', '$SYS/x', true],
    ['$SYS/monitor/+', '$SYS/monitor/Clients', true],
    ['a/#', 'a/$b', true],
    ['a/+', 'a/$b', true],
  ])(
    '%s with %s: wildcards at the first level and topics that begin with $ [MQTT-4.7.2-1]',
    (filter, topic, expected) => {
      expect(filterMatches(filter, topic)).toBe(expected)
    },
  )

  it('compares code unit by code unit: case and normal form count [MQTT-4.7.3-4]', () => {
    expect(filterMatches('ACCOUNTS', 'Accounts')).toBe(false)
    expect(filterMatches('caf\u00e9', 'cafe\u0301')).toBe(false)
    expect(filterMatches('+/\u{1f600}', 'a/\u{1f600}')).toBe(true)
  })

  it('agrees with the specification on arbitrary levels', () => {
    const level = fc.oneof(
      fc.constantFrom('', 'a', '$', 'constructor', '__proto__'),
      fc.string({ unit: 'binary' }),
    )
    const name = level.map((text) => text.replace(/[+#/]/g, '-'))
    const topic = fc.array(name, { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(topic, fc.array(fc.nat(2), { maxLength: 6 }), fc.nat(7), (levels, kinds, cut) => {
        const filter = levels.map((text, index) => (kinds[index] === 1 ? '+' : text))
        if (cut < 6) filter.splice(cut, filter.length, '#')
        const text = levels.join('/')
        fc.pre(text !== '' && filter.join('/') !== '')
        expect(filterMatches(filter.join('/'), text)).toBe(modelMatches(filter, levels))
      }),
    )
  })
})

describe('filterCovers', () => {
  it('says whether the topics of one filter are among those of another, for every small pair', () => {
    const wrong: string[] = []
    for (const outer of filters) {
      const more = matchedBy(outer)
      for (const inner of filters) {
        const expected = matchedBy(inner).every((matched, index) => matched === 0 || more[index] === 1)
        if (filterCovers(outer, inner) !== expected)
          wrong.push(`${outer} covers ${inner}: ${String(expected)}`)
      }
    }
    expect(wrong).toEqual([])
  })
})

describe('filtersOverlap', () => {
  it('says whether two filters have a topic in common, for every small pair', () => {
    const wrong: string[] = []
    for (const left of filters) {
      const ofLeft = matchedBy(left)
      for (const right of filters) {
        const expected = matchedBy(right).some((matched, index) => matched === 1 && ofLeft[index] === 1)
        if (filtersOverlap(left, right) !== expected) wrong.push(`${left} and ${right}: ${String(expected)}`)
      }
    }
    expect(wrong).toEqual([])
  })
})

describe('topicNameFault', () => {
  it.each([
    ['', 'empty'], // [MQTT-4.7.3-1]
    ['a\0b', 'null-character'], // [MQTT-4.7.3-2]
    ['a/+', 'wildcard-in-name'], // [MQTT-3.3.2-2]
    ['a#', 'wildcard-in-name'],
    ['/', undefined],
    ['a//b', undefined],
    ['constructor', undefined],
    ['$SYS/x', undefined],
  ])('%j: %s', (topic, fault) => {
    expect(topicNameFault(topic, limits)).toBe(fault)
  })

  it('counts bytes of UTF-8, not characters [MQTT-4.7.3-3]', () => {
    expect(topicNameFault('a'.repeat(65_535), limits)).toBeUndefined()
    expect(topicNameFault('a'.repeat(65_536), limits)).toBe('too-long')
    expect(topicNameFault('\u20ac'.repeat(21_845), limits)).toBeUndefined()
    expect(topicNameFault('\u20ac'.repeat(21_846), limits)).toBe('too-long')
    expect(topicNameFault('\u{1f600}'.repeat(4), { maxLevels: 1, maxBytes: 15 })).toBe('too-long')
  })

  it('counts levels, empty ones too', () => {
    expect(topicNameFault('a/b/c', { maxLevels: 3, maxBytes: 100 })).toBeUndefined()
    expect(topicNameFault('a//c/', { maxLevels: 3, maxBytes: 100 })).toBe('too-many-levels')
    expect(levelCount('a//c/')).toBe(4)
  })
})

describe('topicFilterFault', () => {
  it('accepts exactly the filters in which wildcards stand alone and `#` is last', () => {
    for (const levels of sequences(['', 'a', '+', '#', 'a+', '+a', '#a', 'a#', '++', '##'], 3)) {
      const filter = levels.join('/')
      if (filter === '') continue
      const valid = levels.every(
        (level, index) =>
          level === '+' || (level === '#' && index === levels.length - 1) || !/[+#]/.test(level),
      )
      expect([filter, topicFilterFault(filter, limits)]).toEqual([
        filter,
        valid ? undefined : 'wildcard-misplaced',
      ])
    }
  })
})

describe('parseFilter', () => {
  it.each([
    ['$share/g/a/b', { share: 'g', filter: 'a/b' }],
    ['$share/g//', { share: 'g', filter: '/' }],
    ['$share/g/$SYS/#', { share: 'g', filter: '$SYS/#' }],
    ['$share', { share: undefined, filter: '$share' }],
    ['$shared/g', { share: undefined, filter: '$shared/g' }],
    ['$share/', 'share-malformed'], // [MQTT-4.8.2-1]
    ['$share/g', 'share-malformed'], // [MQTT-4.8.2-2]
    ['$share/g/', 'share-malformed'],
    ['$share//a', 'share-malformed'],
    ['$share/a+/a', 'share-malformed'],
    ['$share/#/a', 'share-malformed'],
    ['$share/g/a#', 'wildcard-misplaced'],
  ])('%s', (text, expected) => {
    expect(parseFilter(text, limits)).toEqual(expected)
  })

  it('bounds the share name as it bounds the filter', () => {
    const small = { maxLevels: 10, maxBytes: 8 }
    expect(parseFilter('$share/12345678/a', small)).toEqual({ share: '12345678', filter: 'a' })
    expect(parseFilter('$share/123456789/a', small)).toBe('too-long')
  })

  it('is undone by formatFilter', () => {
    for (const text of ['a/b', '$share/g/a/+', '$share/g//']) {
      const parsed = parseFilter(text, limits)
      expect(typeof parsed === 'string' ? parsed : formatFilter(parsed)).toBe(text)
    }
  })
})
