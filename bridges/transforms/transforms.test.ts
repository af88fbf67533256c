import { describe, expect, it } from 'vitest'
import { type Captures, Rejected, type Transform } from '../../broker/contract/connector.js'
import { json } from '../codecs/json.js'
import { recordOf } from '../runtime/testing.js'
import { filter } from './filter.js'
import { rename } from './rename.js'
import { scale } from './scale.js'
import { split } from './split.js'

/** Values that a transform emits for a value, or the reason why it refuses it. */
function run(transform: Transform, value: unknown, captures: Captures = {}): unknown {
  const emitted: unknown[] = []
  try {
    transform.apply(recordOf(value, { captures }), (record) => emitted.push(record.value))
  } catch (error) {
    return (error as Rejected).reason
  }
  return emitted
}

describe('filter', () => {
  const build = (settings: object): Transform =>
    filter.create(filter.schema.parse({ type: 'filter', ...settings }))

  it('looks at a field or a capture', () => {
    const hot = build({ field: 'data.value', min: 20, max: 30 })
    expect(run(hot, { data: { value: 20 } })).toHaveLength(1)
    expect(run(hot, { data: { value: 30.1 } })).toEqual([])
    expect(run(hot, { data: { value: '25' } })).toEqual([])
    expect(run(hot, null)).toEqual([])
    const metric = build({ capture: 'metric', in: ['temperature', 'humidity'] })
    expect(run(metric, 1, { metric: 'humidity' })).toEqual([1])
    expect(run(metric, 1, { metric: 'power' })).toEqual([])
    expect(run(build({ field: '.', notIn: [0] }), 0)).toEqual([])
  })
})

describe('scale', () => {
  const build = (settings: object): Transform =>
    scale.create(scale.schema.parse({ type: 'scale', ...settings }))

  it('converts', () => {
    const celsius = build({ factor: 1.8, offset: 32 })
    expect(run(celsius, { value: 100, unit: 'C' })).toEqual([{ value: 212, unit: 'C' }])
    expect(run(build({ field: '.', factor: 2 }), 4)).toEqual([8])
    expect(run(build({ field: 'list.1', offset: 1 }), { list: [1, 2] })).toEqual([{ list: [1, 3] }])
    expect(run(celsius, { value: '100' })).toBe('no_number')
  })
})

describe('rename', () => {
  const build = (from: string, to: string): Transform => rename.create({ type: 'rename', from, to })

  it('moves a field', () => {
    expect(run(build('data.temp', 'value'), { data: { temp: 3, x: 1 } })).toEqual([
      { data: { x: 1 }, value: 3 },
    ])
    expect(run(build('data', '.'), { data: { temp: 3 } })).toEqual([{ temp: 3 }])
    expect(run(build('data', 'value'), {})).toBe('no_field')
    expect(run(build('data', 'a.b'), { data: 1 })).toBe('no_field')
  })

  it('treats names of every object as fields', () => {
    expect(run(build('constructor', 'x'), {})).toBe('no_field')
    const value = JSON.parse('{"v":1}') as object
    const [result] = run(build('v', '__proto__'), value) as [object]
    expect(Object.getPrototypeOf(result)).toBe(Object.prototype)
    expect(Object.keys(result)).toEqual(['__proto__'])
  })
})

describe('split', () => {
  const build = (settings: object): Transform =>
    split.create(split.schema.parse({ type: 'split', ...settings }))

  it('makes a record of each item', () => {
    expect(run(build({}), [1, { value: 2 }])).toEqual([1, { value: 2 }])
    expect(run(build({ field: 'readings' }), { readings: [] })).toEqual([])
    expect(run(build({}), { 0: 1 })).toBe('no_field')
    expect(run(build({ maxItems: 2 }), [1, 2, 3])).toBe('no_field')
  })
})

describe('json', () => {
  const codec = json.create({ type: 'json' })

  it('reads views of larger memory, and refuses what is not JSON in UTF-8', () => {
    const memory = Buffer.from('xx{"ä":1}xx')
    expect(codec.decode(memory.subarray(2, -2))).toEqual({ ä: 1 })
    for (const bytes of ['', '{', '\uFEFF1', 'NaN', "{'a':1}"])
      expect(() => codec.decode(Buffer.from(bytes))).toThrow(Rejected)
    expect(() => codec.decode(Buffer.from([0x22, 0xff, 0x22]))).toThrow('not UTF-8')
    expect(Buffer.from(codec.encode({ a: [1, null] })).toString()).toBe('{"a":[1,null]}')
  })

  it('names no payload in its faults', () => {
    expect(() => codec.decode(Buffer.from('secret'))).toThrow(/^not JSON, 6 bytes$/)
  })

  it('takes deep nesting without harm', () => {
    expect(() => codec.decode(Buffer.from('['.repeat(200_000)))).toThrow(Rejected)
    codec.decode(Buffer.from('['.repeat(100_000) + ']'.repeat(100_000)))
  })
})
