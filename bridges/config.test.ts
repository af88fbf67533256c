import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GatewayError } from '../broker/contract/errors.js'
import { SettingsError } from '../config/problem.js'
import { loadBridges, readBridges } from './config.js'

function problemsOf(text: string): readonly string[] {
  try {
    readBridges(text, { name: 'bridges.yaml', env: {} })
    return []
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error
    expect(error.code).toBe('BRIDGES_INVALID')
    return error.problems.map(({ path, allowed }) => `${path}: ${allowed}`)
  }
}

/** A pipeline of the parts given as YAML, indented by four. */
function file(parts: Readonly<Record<string, string>>): string {
  const whole = {
    name: 'p',
    source: "{ type: mqtt, topic: 'sensors/{room}/{device}' }",
    sink: "{ type: mqtt, topic: 'feeds/{room}' }",
    ...parts,
  }
  const [first = '', ...rest] = Object.entries(whole).map(([key, value]) => `${key}: ${value}`)
  return ['pipelines:', `  - ${first}`, ...rest.map((line) => `    ${line}`)].join('\n')
}

describe('a bridges file', () => {
  it('ships sound', () => {
    const [rooms] = loadBridges({ file: 'config/bridges.yaml', env: {} })
    expect(rooms?.source.topic).toBe('sensors/{site}/{room}/{device}/{metric}')
    expect(rooms?.window?.sizes.map(({ text }) => text)).toEqual(['5s', '1m'])
  })

  it('takes its secrets from the environment', () => {
    const text = file({ sink: "{ type: mqtt, topic: 'x/{room}', url: 'mqtt://h', password: '${SECRET}' }" })
    expect(readBridges(text, { name: 'f', env: { SECRET: '123' } })[0]?.sink.password).toBe('123')
  })

  it('reports all problems at once, in all pipelines, with path and place', () => {
    const text = `pipelines:
  - name: One
    source: { type: mqtt, topic: 'a/{x}/b{y}', qos: 2 }
    windw: 3
    sink: { type: mqtt, topic: 'feeds/{x}' }
  - name: two
    source: { type: mqtt, topic: 'a/{x}/{y}' }
    window: { type: tumbling, sizes: [1x, 5s, 5s], by: [x, z] }
    sink: { type: mqtt, topic: 'feeds/{x}/{w}' }
  - name: three
    source: { type: kafka }
    sink: { type: mqtt, topic: 'feeds/{x}' }
`
    expect(() => readBridges(text, { name: 'bridges.yaml', env: {} })).toThrow(
      /pipelines\[1\]\.sink\.topic: found "feeds\/\{x\}\/\{w\}"; allowed: the names .*\(bridges\.yaml:9:\d+\)/,
    )
    expect(problemsOf(text).map((line) => line.split(':')[0])).toEqual([
      'pipelines[0].name',
      'pipelines[0].source.topic',
      'pipelines[0].source.qos',
      'pipelines[0].windw',
      'pipelines[1].window.sizes[0]',
      'pipelines[1].window.by[1]',
      'pipelines[1].window.sizes[2]',
      'pipelines[1].sink.topic',
      'pipelines[2].source.type',
    ])
  })

  it.each<[string, Record<string, string>, RegExp]>([
    [
      'a name that is not captured',
      { sink: "{ type: mqtt, topic: 'feeds/{rom}' }" },
      /^pipelines\[0\]\.sink\.topic: the names `\{room\}`, `\{device\}`$/,
    ],
    [
      'a capture that the window has aggregated',
      {
        window: '{ type: tumbling, sizes: [5s], by: [room] }',
        sink: "{ type: mqtt, topic: 'feeds/{room}/{device}' }",
      },
      /sink\.topic: the names `\{room\}`, `\{window\}`$/,
    ],
    [
      'a group of what is not captured',
      { window: '{ type: tumbling, sizes: [5s], by: [floor] }' },
      /window\.by\[0\]: a capture of the source: room, device$/,
    ],
    [
      'a pipeline that feeds itself',
      { sink: "{ type: mqtt, topic: 'sensors/{room}/mean' }" },
      /sink\.topic: topics that the source .* does not read$/,
    ],
    [
      'a history that feeds its own pipeline',
      { sink: "{ type: mqtt, topic: 'x/{room}', history: { topic: 'sensors/{room}/h', points: 5 } }" },
      /does not read$/,
    ],
    [
      'histories that mix',
      { sink: "{ type: mqtt, topic: 'x/{room}', history: { topic: 'history', points: 5 } }" },
      /history\.topic: all the names of `topic`/,
    ],
    [
      'a duration without a unit',
      { window: '{ type: tumbling, sizes: ["5"], by: [room] }' },
      /sizes\[0\]: a time span from 100ms to 7d/,
    ],
    [
      'a condition on nothing',
      { transforms: '[{ type: filter, in: [1] }]' },
      /transforms\[0\]\.field: one of `field` and `capture`/,
    ],
    [
      'a condition that is none',
      { transforms: '[{ type: filter, field: a }]' },
      /transforms\[0\]: a condition/,
    ],
    [
      'a field without a name',
      { transforms: "[{ type: scale, field: 'a..b' }]" },
      /transforms\[0\]\.field: a field such as/,
    ],
    ['a URL that is none of MQTT', { sink: "{ type: mqtt, topic: 'x', url: 'http://h' }" }, /sink\.url/],
  ])('refuses %s', (_what, parts, problem) => {
    const problems = problemsOf(file(parts))
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(problem)
  })

  it('lets a pipeline publish at another broker what it reads here', () => {
    expect(
      problemsOf(file({ sink: "{ type: mqtt, topic: 'sensors/{room}/{device}', url: 'mqtt://h' }" })),
    ).toEqual([])
  })

  it('refuses a name that is there twice', () => {
    const [, ...lines] = file({}).split('\n')
    expect(problemsOf(['pipelines:', ...lines, ...lines].join('\n'))).toEqual([
      'pipelines[1].name: a name of its own',
    ])
  })

  it('says that a file is missing', () => {
    expect(() => loadBridges({ file: 'none.yaml', env: {} })).toThrow(GatewayError)
  })

  it('meets any text with a GatewayError or pipelines, nothing else', () => {
    const parts = fc.record(
      {
        source: fc.constantFrom('{}', '[]', '3', "{ type: mqtt, topic: '{a}/{a}' }", '{ type: __proto__ }'),
        window: fc.constantFrom('{ type: tumbling }', '{ type: tumbling, sizes: {}, by: [1] }', 'null', '[]'),
        sink: fc.constantFrom(
          "{ type: mqtt, topic: '' }",
          '{ type: mqtt, topic: 4 }',
          "{ type: mqtt, topic: '{}' }",
        ),
        transforms: fc.constantFrom('{}', '[1]', '[{}]', '[{ type: constructor }]'),
        __proto__: fc.constant('1'),
      },
      { requiredKeys: [] },
    )
    const text = fc.oneof(
      fc.string(),
      parts.map((chosen) => file(chosen)),
    )
    fc.assert(
      fc.property(text, (input) => {
        try {
          readBridges(input, { name: 'f', env: {} })
        } catch (error) {
          expect(error).toBeInstanceOf(GatewayError)
        }
      }),
      { numRuns: 300 },
    )
  })
})
