import { describe, expect, it } from 'vitest'
import { gatewaySettings } from './load.js'
import { SettingsError } from './problem.js'
import { readSettings } from './settings.js'

/** Paths of the problems of a configuration, in order. */
function paths(settings: object): readonly string[] {
  try {
    readSettings(gatewaySettings, {
      name: 'x',
      text: JSON.stringify(settings),
      overrides: [],
      environment: {},
    })
  } catch (error) {
    if (error instanceof SettingsError) return error.problems.map(({ path }) => path)
    throw error
  }
  return []
}

const tcp = (name: string, port: number, host = '127.0.0.1') => ({ name, type: 'tcp', port, host })
const jwt = { type: 'jwt', jwksFile: 'keys.json' }

describe('listeners', () => {
  it('have names of their own', () => {
    expect(paths({ listeners: [tcp('a', 1), tcp('a', 2), tcp('b', 3), tcp('a', 4)] })).toEqual([
      'listeners[1].name',
      'listeners[3].name',
    ])
  })

  it.each([
    ['127.0.0.1', '127.0.0.1', true],
    ['127.0.0.1', 'localhost', true],
    ['127.0.0.1', '0.0.0.0', true],
    ['0.0.0.0', '::', true],
    ['::', '10.0.0.1', true],
    ['10.0.0.1', '10.0.0.2', false],
    ['0.0.0.0', '::1', false],
  ])('on %s and %s with one port: in the way of each other: %s', (left, right, clash) => {
    const auth = { anonymous: 'always' }
    expect(paths({ auth, listeners: [tcp('a', 5, left), tcp('b', 5, right)] })).toEqual(
      clash ? ['listeners[1].port'] : [],
    )
    expect(paths({ auth, listeners: [tcp('a', 5, right), tcp('b', 5, left)] })).toHaveLength(clash ? 1 : 0)
  })

  it('share port 0, which is a free one each time', () => {
    expect(paths({ listeners: [tcp('a', 0), tcp('b', 0)], admin: { port: 0 } })).toEqual([])
  })

  it.each([
    ['10.0.0.5', true],
    ['10.0.0.0/8', true],
    ['::1', true],
    ['fd00::/8', true],
    ['10.0.0.0/33', false],
    ['fd00::/129', false],
    ['10.0.0.0/', false],
    ['10.0.0.0/8/8', false],
    ['fe80::1%eth0', false],
    ['proxy.example.com', false],
  ])('trust proxies by address: %s: %s', (range, sound) => {
    expect(paths({ listeners: [{ ...tcp('a', 1), proxyProtocol: { trusted: [range] } }] })).toEqual(
      sound ? [] : ['listeners[0].proxyProtocol.trusted[0]'],
    )
  })

  it('stay off the port of the admin listener while there is one', () => {
    expect(paths({ listeners: [tcp('a', 9090)] })).toEqual(['admin.port'])
    expect(paths({ listeners: [tcp('a', 9090)], admin: { enabled: false } })).toEqual([])
  })
})

describe('workers', () => {
  it.each([
    [1, 'level', true],
    [2, 'level', false],
    ['auto', 'memory', false],
    ['auto', 'redis', true],
    [4, 'redis', true],
  ])('%s with store %s: %s', (workers, type, sound) => {
    const redis = { url: 'redis://127.0.0.1' }
    expect(paths({ node: { workers }, store: { type }, redis })).toEqual(sound ? [] : ['node.workers'])
  })
})

describe('who may connect', () => {
  it.each([
    ['127.0.0.1', 'loopback', 0, true],
    ['127.0.0.1', 'always', 0, true],
    ['127.0.0.1', 'never', 0, false],
    ['127.0.0.1', 'never', 1, true],
    ['0.0.0.0', 'loopback', 0, false],
    ['0.0.0.0', 'loopback', 1, true],
    ['0.0.0.0', 'never', 0, false],
    ['0.0.0.0', 'never', 1, true],
    ['0.0.0.0', 'always', 0, true],
    ['0.0.0.0', 'always', 1, true],
    ['127.9.9.9', 'loopback', 0, true],
    ['::1', 'loopback', 0, true],
    ['localhost', 'loopback', 0, true],
    ['::ffff:127.0.0.1', 'loopback', 0, true],
    ['127.evil.example', 'loopback', 0, false],
    ['::', 'loopback', 0, false],
    ['gateway.example', 'loopback', 0, false],
  ])('host %s, anonymous %s, %i authenticators: %s', (host, anonymous, count, good) => {
    const authenticators = Array.from({ length: count }, () => jwt)
    expect(paths({ listeners: [tcp('a', 1, host)], auth: { anonymous, authenticators } })).toHaveLength(
      good ? 0 : 1,
    )
  })
})

describe('client certificates', () => {
  const tls = (more: object) => ({
    listeners: [{ name: 'a', type: 'tls', port: 1, tls: { certFile: 'c', keyFile: 'k', ...more } }],
  })
  const at = ['listeners[0].tls.clientCert']

  it('need an authority, and an authority needs them', () => {
    expect(paths(tls({}))).toEqual([])
    expect(paths(tls({ clientCert: 'required' }))).toEqual(at)
    expect(paths(tls({ clientCert: 'optional' }))).toEqual(at)
    expect(paths(tls({ caFile: 'ca' }))).toEqual(at)
    expect(paths(tls({ caFile: 'ca', clientCert: 'optional' }))).toEqual([])
  })
})

describe('authenticators', () => {
  const auth = (...authenticators: object[]) => ({
    auth: { authenticators: authenticators.map((item) => ({ type: 'jwt', ...item })) },
  })

  it('have exactly one place for keys', () => {
    const at = ['auth.authenticators[0]']
    expect(paths(auth({}))).toEqual(at)
    expect(paths(auth({ jwksFile: 'a', jwksUrl: 'https://b' }))).toEqual(at)
    expect(paths(auth({ jwksUrl: 'https://b' }))).toEqual([])
  })

  it('use shared secrets and key pairs each with their algorithms', () => {
    const at = ['auth.authenticators[0].algorithms']
    expect(paths(auth({ secretFile: 's' }))).toEqual(at)
    expect(paths(auth({ secretFile: 's', algorithms: ['HS256'] }))).toEqual([])
    expect(paths(auth({ secretFile: 's', algorithms: ['HS256', 'ES256'] }))).toEqual(at)
    expect(paths(auth({ jwksFile: 'j', algorithms: ['RS256', 'HS256'] }))).toEqual(at)
  })

  it('are one for each method of enhanced authentication', () => {
    const scram = { type: 'scram', usersFile: 'users' }
    expect(paths(auth(scram, { jwksFile: 'j' }))).toEqual([])
    expect(paths(auth(scram, { ...scram, name: 'other' }))).toEqual(['auth.authenticators[1].type'])
  })

  it('have names of their own', () => {
    const keys = { jwksFile: 'j' }
    expect(paths(auth(keys, keys))).toEqual(['auth.authenticators[1].name'])
    expect(paths(auth(keys, { ...keys, name: 'other' }))).toEqual([])
  })
})

describe('access rules', () => {
  const topics = (...list: string[]) => paths({ access: { rules: [{ allow: 'both', topics: list }] } })

  it.each(['#', 'a/+/b', '/', '$SYS/#', 'dev-${clientId}/${claims.a-b}/#', '${username}', '${role}/x'])(
    'take the filter %s',
    (topic) => {
      expect(topics(topic)).toEqual([])
    },
  )

  it.each(['a#', 'ab/+e', '#/a', '${clientid}/x', '${claims.}', '$share/g/x', 'a\0b', 'x/'.repeat(40)])(
    'refuse %j',
    (topic) => {
      expect(topics('ok', topic)).toEqual(['access.rules[0].topics[1]'])
    },
  )

  it('either allow or deny', () => {
    expect(paths({ access: { rules: [{ topics: ['a'] }] } })).toEqual(['access.rules[0]'])
    expect(paths({ access: { rules: [{ allow: 'both', deny: 'both', topics: ['a'] }] } })).toEqual([
      'access.rules[0]',
    ])
  })
})

describe('response information', () => {
  it.each([
    ['replies/${clientId}/', true],
    ['replies/', true],
    ['replies/${username}/', false],
    ['replies/+/', false],
  ])('%s: %s', (responseInformation, good) => {
    expect(paths({ session: { responseInformation } })).toEqual(good ? [] : ['session.responseInformation'])
  })
})

describe('limits', () => {
  it('leave room for the largest packet', () => {
    expect(paths({ limits: { packetSize: 10_000_000 } })).toEqual(['limits.outboxHardBytes'])
    expect(paths({ limits: { queuedBytes: 1_000 } })).toEqual(['limits.queuedBytes'])
  })

  it('drop before they disconnect', () => {
    expect(paths({ limits: { outboxSoftBytes: 8_388_608 } })).toEqual(['limits.outboxSoftBytes'])
  })
})
