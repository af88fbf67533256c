import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { GatewayError } from '../broker/contract/errors.js'
import { DEFAULT_FILE, gatewaySettings, loadConfig } from './load.js'
import { SettingsError, type Problem } from './problem.js'
import { configSchema, type Config } from './schema.js'
import { readSettings } from './settings.js'

const folder = mkdtempSync(join(tmpdir(), 'openclaw-config-'))
afterAll(() => {
  rmSync(folder, { recursive: true })
})

interface Given {
  readonly overrides?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
}

function read(text: string, given: Given = {}): Config {
  return readSettings(gatewaySettings, {
    name: 'gateway.yaml',
    text,
    overrides: given.overrides ?? [],
    environment: given.environment ?? {},
  })
}

function problemsOf(text: string, given: Given = {}): readonly Problem[] {
  try {
    read(text, given)
  } catch (error) {
    if (error instanceof SettingsError) return error.problems
    throw error
  }
  return []
}

describe('where the configuration comes from', () => {
  it('is the default file, which holds the defaults', () => {
    const { config, source } = loadConfig({ file: undefined, overrides: [], env: {} })
    expect(source).toEqual({ kind: 'file', file: DEFAULT_FILE })
    expect(config).toEqual(configSchema.parse({}))
  })

  it('is the defaults when there is no default file, and says so', () => {
    const { config, source } = loadConfig({ file: undefined, overrides: [], env: {}, directory: folder })
    expect(source).toEqual({ kind: 'defaults', looked: DEFAULT_FILE })
    expect(config).toEqual(configSchema.parse({}))
  })

  it.each(['missing.yaml', '.'])('is never guessed when a file was named: %s', (name) => {
    const load = () => loadConfig({ file: join(folder, name), overrides: [], env: {} })
    expect(load).toThrow(expect.objectContaining({ code: 'CONFIG_UNREADABLE' }))
  })

  it('is not a file of the wrong kind', () => {
    const file = join(folder, 'large.yaml')
    writeFileSync(file, '#'.repeat(2_000_000))
    expect(() => loadConfig({ file, overrides: [], env: {} })).toThrow(/2000000 bytes/)
  })

  it.each(readdirSync('config/examples'))('may be the example %s', (name) => {
    const load = () => loadConfig({ file: join('config/examples', name), overrides: [], env: {} })
    expect(load).not.toThrow()
  })
})

describe('problems', () => {
  it('come all at once, each with key, finding, allowance and place', () => {
    const text = [
      'listeners:', //
      '  - { name: web, type: ws, port: 99999, prot: 1 }',
      'log: { level: loud }',
      'limits:',
      '  packetSize: many',
      'bridge: {}',
    ].join('\n')
    expect(problemsOf(text, { overrides: ['admin.port=-1'] })).toEqual([
      {
        path: 'listeners[0].port',
        found: '99999',
        allowed: 'integer, 0 to 65,535',
        where: 'gateway.yaml:2:34',
      },
      expect.objectContaining({
        path: 'listeners[0].prot',
        found: 'an unknown key',
        where: 'gateway.yaml:2:41',
      }),
      {
        path: 'limits.packetSize',
        found: '"many"',
        allowed: 'integer, 128 to 268,435,455',
        where: 'gateway.yaml:5:15',
      },
      {
        path: 'admin.port',
        found: '-1',
        allowed: 'integer, 0 to 65,535',
        where: '--set admin.port=-1',
      },
      {
        path: 'log.level',
        found: '"loud"',
        allowed: '`trace`, `debug`, `info`, `warn`, `error`, `silent`',
        where: 'gateway.yaml:3:15',
      },
      expect.objectContaining({ path: 'bridge', where: 'gateway.yaml:6:1' }),
    ])
  })

  it('include contradictions between sections that are sound', () => {
    const paths = problemsOf('log: 5\nauth: { anonymous: never }').map(({ path }) => path)
    expect(paths).toEqual(['log', 'auth.anonymous'])
  })

  it('suggest the key that was meant', () => {
    expect(problemsOf('listenrs: []')[0]?.allowed).toMatch(/^`listeners` \(did you mean that\?\)/)
    expect(problemsOf('limits: { packetsize: 500 }')[0]?.allowed).toMatch(/^`packetSize`/)
    expect(problemsOf('quite-different: 1')[0]?.allowed).not.toMatch(/did you mean/)
  })

  it('point at a missing key by its section', () => {
    expect(problemsOf('listeners:\n  - name: web\n    type: ws')).toEqual([
      expect.objectContaining({ path: 'listeners[0].port', found: 'nothing', where: 'gateway.yaml:2:5' }),
    ])
  })

  it('follow aliases to the line where the value is written', () => {
    const text = 'listeners:\n  - &a { name: a, type: tcp, port: x }\n  - *a'
    const places = problemsOf(text).map(({ path, where }) => [path, where])
    expect(places).toEqual([
      ['listeners[0].port', 'gateway.yaml:2:36'],
      ['listeners[1].port', 'gateway.yaml:2:36'],
    ])
  })

  it.each([
    ['a: [1', 'an end that never comes'],
    ['node: {}\nnode: {}', 'a key twice'],
    ['node: *missing', 'an alias without its anchor'],
    ['node: !!binary aGFsbG8=', 'a tag'],
    ['a: 1\n---\nb: 2', 'two documents'],
    ['? [a, b]\n: 1', 'a key that is a list'],
    ['\tnode: 1', 'a tab'],
    [aliasBomb(), 'aliases that multiply'],
    ['['.repeat(50_000), 'nesting without end'],
  ])('of YAML itself have a code of their own: %#', (text) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ code: 'CONFIG_UNREADABLE' }))
  })

  it('never show control characters, or the user information of a URL', () => {
    const shown = problemsOf('log: { level: "\\e[2J\\u009b", format: "redis://user:hunter2@host" }')
      .map(({ found }) => found)
      .join()
    expect(shown).not.toMatch(/\p{Cc}|hunter2/u)
  })
})

describe('a document that is no section', () => {
  it.each(['5', 'text', '[1]'])('is refused: %s', (text) => {
    expect(problemsOf(text)).toEqual([expect.objectContaining({ path: '', where: 'gateway.yaml:1:1' })])
  })

  it.each(['', '# nothing', '---'])('may be empty: %j', (text) => {
    expect(read(text)).toEqual(configSchema.parse({}))
  })

  it('counts a key without a value as not set, but knows the key', () => {
    expect(read('limits:\naccess:\n  # rules:\n')).toEqual(configSchema.parse({}))
    expect(problemsOf('limit:')).toHaveLength(1)
  })
})

describe('the environment', () => {
  it('fills in values, which take the type of their key', () => {
    const config = read('admin: { port: "${PORT}", enabled: "${ON:-false}" }\nnode: { id: "n-${ID}" }', {
      environment: { PORT: '0', ID: '7' },
    })
    expect(config.admin).toMatchObject({ port: 0, enabled: false })
    expect(config.node.id).toBe('n-7')
  })

  it('also where a key takes several', () => {
    const text = 'node: { workers: "${WORKERS}" }\nstore: { type: redis }\nredis: { url: redis://127.0.0.1 }'
    expect(read(text, { environment: { WORKERS: '4' } }).node.workers).toBe(4)
    expect(read(text, { environment: { WORKERS: 'auto' } }).node.workers).toBe('auto')
    expect(problemsOf(text, { environment: { WORKERS: 'many' } })).toEqual([
      expect.objectContaining({ path: 'node.workers', allowed: '`auto` or integer, 1 to 256' }),
    ])
  })

  it('leaves text text, whatever it looks like', () => {
    expect(read('node: { id: "${ID}" }', { environment: { ID: '0x10' } }).node.id).toBe('0x10')
    expect(read('node: { dataDir: "${DIR}" }', { environment: { DIR: 'true' } }).node.dataDir).toBe('true')
  })

  it('takes the default for a variable that is missing or empty', () => {
    const text = 'node: { dataDir: "${DIR:-/a}" }'
    expect(read(text).node.dataDir).toBe('/a')
    expect(read(text, { environment: { DIR: '' } }).node.dataDir).toBe('/a')
    expect(read(text, { environment: { DIR: '/b' } }).node.dataDir).toBe('/b')
  })

  it('is not searched again', () => {
    const environment = { DIR: '${HOME}', HOME: '/root' }
    expect(read('node: { dataDir: "${DIR}" }', { environment }).node.dataDir).toBe('${HOME}')
  })

  it('reports a variable that is missing once', () => {
    expect(problemsOf('admin:\n  port: ${PORT}')).toEqual([
      {
        path: 'admin.port',
        found: '${PORT}, and no environment variable PORT',
        allowed: 'the variable set, or a default: ${PORT:-value}',
        where: 'gateway.yaml:2:9',
      },
    ])
  })

  it.each(['${port}', '${PORT', '${PORT-1}', '${}', '${__proto__}'])('refuses the placeholder %s', (text) => {
    expect(problemsOf(`node: { dataDir: "${text}" }`)).toHaveLength(1)
  })

  it('leaves placeholders of access rules alone, and replaces names in capitals there', () => {
    const text = 'access: { rules: [{ allow: both, topics: ["${SITE}/${clientId}/${claims.room}/#"] }] }'
    const { access } = read(text, { environment: { SITE: 'berlin' } })
    expect(access.rules?.[0]?.topics).toEqual(['berlin/${clientId}/${claims.room}/#'])
  })

  it('never shows in a message', () => {
    const environment = { PORT: 'hunter2', LEVEL: 'hunter3' }
    const text = JSON.stringify(
      problemsOf('admin: { port: "${PORT}" }\nlog: { level: "${LEVEL}" }', { environment }),
    )
    expect(text).not.toMatch(/hunter/)
    expect(text).toMatch(/the value of/)
  })

  it('has no variables from a prototype', () => {
    expect(problemsOf('node: { dataDir: "${CONSTRUCTOR}" }')).toHaveLength(1)
  })
})

describe('overrides', () => {
  it('change one key, later ones win', () => {
    const overrides = ['log.level=debug', 'log.level=warn', 'limits.packetSize=1024', 'node.dataDir=']
    const config = read('log: { level: error, format: pretty }', { overrides })
    expect(config.log).toEqual({ level: 'warn', format: 'pretty' })
    expect(config.limits.packetSize).toBe(1024)
    expect(config.node.dataDir).toBe('./data')
  })

  it('name an entry of a list by position or name, of the default list too', () => {
    const { listeners } = read('', { overrides: ['listeners[0].port=0', 'listeners.mqtt.port=1'] })
    expect(listeners.map(({ name, port }) => [name, port])).toEqual([
      ['web', 0],
      ['mqtt', 1],
    ])
  })

  it('append at the position after the last', () => {
    const { listeners } = read('listeners: [{ name: a, type: tcp, port: 1 }]', {
      overrides: ['listeners[1]={ name: b, type: tcp }', 'listeners.b.port=2'],
    })
    expect(listeners.map(({ name }) => name)).toEqual(['a', 'b'])
  })

  it('replace whole sections and lists', () => {
    const overrides = ['auth.authenticators=[{ type: jwt, jwksFile: keys.json, algorithms: [ES256, EdDSA] }]']
    expect(read('', { overrides }).auth.authenticators[0]).toMatchObject({ algorithms: ['ES256', 'EdDSA'] })
  })

  it('take the place of what the environment gave', () => {
    const given = { overrides: ['admin.port=1'], environment: { PORT: 'x' } }
    expect(read('admin: { port: "${PORT}" }', given).admin.port).toBe(1)
  })

  it.each([
    'log',
    '=5',
    'log.=1',
    'log..level=x',
    'log[0]=x',
    'log.level.deeper=1',
    'listeners[9].port=1',
    'listeners.none.port=1',
    'listeners[-1].port=1',
    'log.level=[a',
    '__proto__.polluted=1',
    'constructor.prototype.polluted=1',
    'log.__proto__.polluted=1',
    'listeners.__proto__.polluted=1',
  ])('that make no sense are problems: %s', (override) => {
    const problems = problemsOf('', { overrides: [override] })
    expect(problems.length).toBeGreaterThan(0)
    for (const { where } of problems) expect(where).toBe(`--set ${override}`)
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false)
  })
})

describe('any input', () => {
  /** Reads or throws a `GatewayError`; leaves prototypes as they are. */
  function survives(text: string, given: Given): void {
    try {
      read(text, given)
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error
    }
    expect(Object.keys(Object.prototype)).toEqual([])
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  }

  const word = fc.oneof(
    fc.constantFrom(
      '__proto__',
      'constructor',
      'prototype',
      'toString',
      'polluted',
      'listeners',
      'name',
      'type',
    ),
    fc.constantFrom(
      'auth',
      'authenticators',
      'access',
      'rules',
      'topics',
      'limits',
      'log',
      'level',
      '${A}',
      '${A:-1}',
    ),
    fc.string({ maxLength: 8 }),
  )
  const tree = fc.letrec((tie) => ({
    node: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom(0, -1, Infinity, NaN, 8080, true, null, '', 'ws', 'jwt', 'x'.repeat(100)),
      word,
      fc.array(tie('node'), { maxLength: 4 }),
      fc.array(fc.tuple(word, tie('node')), { maxLength: 5 }).map((entries) => Object.fromEntries(entries)),
    ),
  })).node
  const overrides = fc.array(
    fc.oneof(
      fc.string(),
      fc
        .tuple(fc.array(word, { maxLength: 4 }), fc.json())
        .map(([path, value]) => `${path.join('.')}=${value}`),
      fc.tuple(word, fc.nat(3), fc.string()).map(([key, index, value]) => `${key}[${index}].x=${value}`),
    ),
    { maxLength: 4 },
  )
  const environment = fc.dictionary(fc.constantFrom('A', 'B'), fc.string())

  it('of structured values ends in a configuration or named problems', () => {
    fc.assert(
      fc.property(tree, overrides, environment, (value, set, env) => {
        survives(JSON.stringify(value), { overrides: set, environment: env })
      }),
      { numRuns: 1_000 },
    )
  })

  it('of text ends in a configuration or named problems', () => {
    const yamlish = fc.array(
      fc.oneof(
        word,
        fc.constantFrom('\n', '  ', ': ', '- ', '&a ', '*a', '!!', '{', '}', '[', ']', '"', '|', '#', '%'),
      ),
      { maxLength: 40 },
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          yamlish.map((parts) => parts.join('')),
        ),
        (text) => {
          survives(text, { environment: { A: '1' } })
        },
      ),
      { numRuns: 3_000 },
    )
  })

  it('that is a mutated good file ends in a configuration or named problems', () => {
    const { config } = loadConfig({ file: undefined, overrides: [], env: {} })
    const good = JSON.stringify(config, undefined, 1)
    const edit = fc.record({ at: fc.nat(good.length), cut: fc.nat(6), insert: word })
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
        let text = good
        for (const { at, cut, insert } of edits) text = text.slice(0, at) + insert + text.slice(at + cut)
        survives(text, {})
      }),
      { numRuns: 500 },
    )
  })
})

function aliasBomb(): string {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]']
  for (let i = 1; i < 9; i++) {
    const alias = `*a${i - 1}`
    lines.push(`a${i}: &a${i} [${Array.from({ length: 10 }, () => alias).join(', ')}]`)
  }
  return lines.join('\n')
}
