import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { filterMatches } from '../../broker/contract/topic.js'
import { patternFault, TopicPattern } from './topic-pattern.js'
import { templateFault, TopicTemplate } from './topic-template.js'

describe('a topic pattern', () => {
  it('turns names into wildcards and topics into captures', () => {
    const pattern = new TopicPattern('sensors/{site}/{room}/{device}/{metric}')
    expect(pattern.filter).toBe('sensors/+/+/+/+')
    expect(pattern.names).toEqual(['site', 'room', 'device', 'metric'])
    expect(pattern.match('sensors/north//d1/temp')).toEqual({
      site: 'north',
      room: '',
      device: 'd1',
      metric: 'temp',
    })
    expect(pattern.match('sensors/north/r/d1')).toBeUndefined()
    expect(pattern.match('sensors/a/b/c/d/e')).toBeUndefined()
    expect(pattern.match('other/a/b/c/d')).toBeUndefined()
  })

  it('gives the rest to a name at the end', () => {
    const pattern = new TopicPattern('{first}/x/{rest...}')
    expect(pattern.filter).toBe('+/x/#')
    expect(pattern.match('a/x/b/c')).toEqual({ first: 'a', rest: 'b/c' })
    expect(pattern.match('a/x')).toBeUndefined()
    expect(new TopicPattern('a/+/{b}/#').match('a/1/2')).toEqual({ b: '2' })
  })

  it('keeps names that an object has already', () => {
    expect(new TopicPattern('{constructor}/{toString}').match('a/b')).toEqual({
      constructor: 'a',
      toString: 'b',
    })
  })

  it.each([
    ['a/b{c}', /whole levels/],
    ['a/{b/c', /whole levels/],
    ['{a...}/b', /at the end/],
    ['a/#/b', /at the end/],
    ['{a}/{a}', /twice/],
    ['x/{window}', /length of a window/],
    ['$share/g/a/{b}', /\$share/],
    ['', /empty/],
    ['a/b+', /wildcard-misplaced/],
    ['{0}', /whole levels/],
  ])('refuses %s', (text, allowed) => {
    expect(patternFault(text)).toMatch(allowed)
  })

  it('matches what its filter matches', () => {
    const level = fc.constantFrom('', 'a', 'b', '$x')
    const patternLevel = fc.constantFrom('a', '', '+', '{n}', '$x')
    fc.assert(
      fc.property(
        fc.array(patternLevel, { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        fc.array(level, { minLength: 1, maxLength: 5 }),
        (levels, open, parts) => {
          const named = levels.map((text, index) => (text === '{n}' ? `{n${index}}` : text))
          const text = [...named, ...(open ? ['#'] : [])].join('/')
          const topic = parts.join('/')
          // A broker brings only what the filter matches; `$` topics are kept from wildcards by the broker.
          fc.pre(text !== '' && topic !== '' && !topic.startsWith('$'))
          const pattern = new TopicPattern(text)
          expect(pattern.match(topic) !== undefined).toBe(filterMatches(pattern.filter, topic))
          expect(pattern.match(topic)).toEqual(pattern.match(topic))
        },
      ),
    )
  })
})

describe('a topic template', () => {
  it('fills in captures', () => {
    const template = new TopicTemplate('feeds/{site}/r-{room}/{window}')
    expect(template.filter).toBe('feeds/+/+/+')
    expect(template.render({ site: 'a', room: 'b', window: '5s' })).toBe('feeds/a/r-b/5s')
  })

  it('gives no topic that is none', () => {
    expect(() => new TopicTemplate('{a}').render({ a: '' })).toThrow(/invalid: empty/)
    expect(() => new TopicTemplate('x/{a}').render({ a: 'y'.repeat(70_000) })).toThrow(/too-long/)
  })

  it.each([
    ['feeds/{rooom}', /the names `{room}`/],
    ['feeds/{room', /braces in pairs/],
    ['feeds/+/{room}', /wildcard-in-name/],
    ['$SYS/{room}', /begin with/],
    ['', /empty/],
    ['feeds/{}', /the names/],
  ])('refuses %s', (text, allowed) => {
    expect(templateFault(text, ['room'])).toMatch(allowed)
  })
})
