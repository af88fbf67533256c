import { parseFilter } from '../broker/contract/topic.js'
import { showValue, type Fault, type KeyPath } from './problem.js'
import type { Config } from './schema.js'
import type { Check } from './validate.js'

/** Contradictions between keys, each of which would otherwise show up as a gateway that behaves oddly. */
export const checks: readonly Check<Config>[] = [
  { reads: ['listeners'], run: listenerNames },
  { reads: ['listeners', 'admin'], run: addresses },
  { reads: ['listeners', 'auth'], run: somebodyMayConnect },
  { reads: ['listeners'], run: clientCertificates },
  { reads: ['auth'], run: authenticatorNames },
  { reads: ['auth'], run: oneOfEachMethod },
  { reads: ['auth'], run: tokenKeys },
  { reads: ['access', 'limits'], run: accessTopics },
  { reads: ['session'], run: responseInformation },
  { reads: ['limits'], run: roomForPackets },
  { reads: ['store', 'redis'], run: oneRedis },
  { reads: ['node', 'store'], run: sharedByWorkers },
]

function listenerNames({ listeners }: Config): readonly Fault[] {
  return repeatedNames(
    listeners.map(({ name }) => name),
    ['listeners'],
  )
}

function authenticatorNames({ auth }: Config): readonly Fault[] {
  return repeatedNames(
    auth.authenticators.map(({ name }) => name),
    ['auth', 'authenticators'],
  )
}

function repeatedNames(names: readonly string[], list: KeyPath): readonly Fault[] {
  return names.flatMap((name, index) =>
    names.indexOf(name) === index
      ? []
      : [
          {
            path: [...list, index, 'name'],
            found: `${showValue(name)}, the name of an earlier entry`,
            allowed: 'a name of its own',
          },
        ],
  )
}

function addresses({ listeners, admin }: Config): readonly Fault[] {
  const taken: { host: string; port: number; owner: string }[] = []
  const faults: Fault[] = []
  const claims: { path: KeyPath; host: string; port: number; owner: string }[] = listeners.map(
    ({ host, port, name }, index) => ({
      path: ['listeners', index, 'port'],
      host,
      port,
      owner: `listener \`${name}\``,
    }),
  )
  if (admin.enabled)
    claims.push({ path: ['admin', 'port'], host: admin.host, port: admin.port, owner: 'the admin listener' })
  for (const claim of claims) {
    if (claim.port === 0) continue
    const other = taken.find(({ host, port }) => port === claim.port && sameAddress(host, claim.host))
    if (other === undefined) taken.push(claim)
    else
      faults.push({
        path: claim.path,
        found: `port ${claim.port}, which ${other.owner} has on the same address`,
        allowed: 'a port of its own, or 0 for a free one',
      })
  }
  return faults
}

/** Whether two listening sockets of one port on these addresses get in each other's way. */
function sameAddress(left: string, right: string): boolean {
  const a = canonicalHost(left)
  const b = canonicalHost(right)
  if (a === b || a === ANY_ADDRESS || b === ANY_ADDRESS) return true
  // IPv4's wildcard leaves IPv6 addresses alone.
  return (a === '0.0.0.0' && !b.includes(':')) || (b === '0.0.0.0' && !a.includes(':'))
}

/** Node listens on both families at `::`. */
const ANY_ADDRESS = '::'

function canonicalHost(host: string): string {
  const lower = host.toLowerCase()
  return lower === 'localhost' ? '127.0.0.1' : lower
}

/**
 * `loopback` lets nobody in from outside without credentials, so a listener that faces the outside needs somebody who
 * checks them; `never` needs that on every listener. Only `always` opens a listener to everybody, and it has to be
 * written down.
 */
function somebodyMayConnect({ listeners, auth }: Config): readonly Fault[] {
  if (auth.anonymous === 'always' || auth.authenticators.length > 0) return []
  if (auth.anonymous === 'never')
    return [
      {
        path: ['auth', 'anonymous'],
        found: '`never` without an entry in `auth.authenticators`: no client could connect',
        allowed: 'an authenticator, or `loopback` or `always`',
      },
    ]
  return listeners.flatMap(({ host }, index) =>
    isLoopback(host)
      ? []
      : [
          {
            path: ['listeners', index, 'host'],
            found: `${showValue(host)}, reachable from outside, while nothing checks credentials`,
            allowed:
              'a loopback address; or an entry in `auth.authenticators`; or `auth.anonymous: always`, which lets everybody in',
          },
        ],
  )
}

function isLoopback(host: string): boolean {
  const lower = host.toLowerCase()
  return lower === 'localhost' || lower === '::1' || /^(?:::ffff:)?127(?:\.\d{1,3}){3}$/.test(lower)
}

function clientCertificates({ listeners }: Config): readonly Fault[] {
  return listeners.flatMap((listener, index): Fault[] => {
    if (!('tls' in listener)) return []
    const { clientCert, caFile } = listener.tls
    const path = ['listeners', index, 'tls', 'clientCert']
    if (clientCert !== 'none' && caFile === undefined)
      return [{ path, found: `\`${clientCert}\` without \`caFile\``, allowed: '`none`, or a `caFile`' }]
    if (clientCert === 'none' && caFile !== undefined)
      return [
        {
          path,
          found: '`none` beside a `caFile`: no client certificate would be checked',
          allowed: '`optional` or `required`; or no `caFile`',
        },
      ]
    return []
  })
}

function tokenKeys({ auth }: Config): readonly Fault[] {
  return auth.authenticators.flatMap((authenticator, index): Fault[] => {
    if (authenticator.type !== 'jwt') return []
    const path = ['auth', 'authenticators', index]
    const { jwksUrl, jwksFile, secretFile, algorithms } = authenticator
    const keys = Object.entries({ jwksUrl, jwksFile, secretFile }).filter(([, value]) => value !== undefined)
    if (keys.length !== 1)
      return [
        {
          path,
          found:
            keys.length === 0
              ? 'no keys to check tokens with'
              : keys.map(([key]) => `\`${key}\``).join(' and '),
          allowed: 'exactly one of `jwksUrl`, `jwksFile`, `secretFile`',
        },
      ]
    // A public key taken for a shared secret lets anyone sign: the two kinds of algorithm never mix.
    const misplaced = algorithms.filter((name) => name.startsWith('HS') !== (secretFile !== undefined))
    if (misplaced.length === 0) return []
    return [
      {
        path: [...path, 'algorithms'],
        found: `${misplaced.map((name) => `\`${name}\``).join(', ')} with \`${keys[0]?.[0] ?? ''}\``,
        allowed:
          secretFile === undefined
            ? 'algorithms of key pairs (RS256, ES256, EdDSA ...)'
            : 'algorithms of shared secrets (HS256, HS384, HS512)',
      },
    ]
  })
}

/** A client names the method of enhanced authentication, not the entry. */
function oneOfEachMethod({ auth }: Config): readonly Fault[] {
  const first = auth.authenticators.findIndex(({ type }) => type === 'scram')
  return auth.authenticators.flatMap(({ type }, index): Fault[] => {
    if (type !== 'scram' || index === first) return []
    return [
      { path: ['auth', 'authenticators', index, 'type'], found: 'a second `scram`', allowed: 'one `scram`' },
    ]
  })
}

function accessTopics({ access, limits }: Config): readonly Fault[] {
  const bounds = { maxLevels: limits.topicLevels, maxBytes: limits.topicBytes }
  return (access.rules ?? []).flatMap((rule, ruleIndex) =>
    rule.topics.flatMap((topic, topicIndex): Fault[] => {
      const path = ['access', 'rules', ruleIndex, 'topics', topicIndex]
      const unknown = topic.replace(RULE_PLACEHOLDER, 'x')
      if (unknown.includes('${'))
        return [
          {
            path,
            found: `${showValue(topic)}, with a placeholder that rules do not know`,
            allowed: '`${clientId}`, `${username}`, `${role}`, `${claims.name}`',
          },
        ]
      if (topic.startsWith('$share/'))
        return [
          {
            path,
            found: showValue(topic),
            allowed: 'the filter behind `$share/name/`: a rule covers shared subscriptions, too',
          },
        ]
      const parsed = parseFilter(unknown, bounds)
      if (typeof parsed !== 'string') return []
      return [{ path, found: `${showValue(topic)} (${parsed})`, allowed: 'a topic filter within `limits`' }]
    }),
  )
}

const RULE_PLACEHOLDER = /\$\{(?:clientId|username|role|claims\.[\w-]+)\}/g

function responseInformation({ session }: Config): readonly Fault[] {
  const { responseInformation: prefix } = session
  if (prefix === undefined) return []
  const path = ['session', 'responseInformation']
  const filled = prefix.replaceAll('${clientId}', 'x')
  if (filled.includes('${'))
    return [{ path, found: `${showValue(prefix)}, with an unknown placeholder`, allowed: '`${clientId}`' }]
  if (/[+#\0]/.test(filled))
    return [{ path, found: showValue(prefix), allowed: 'the beginning of a topic name, without wildcards' }]
  return []
}

/** A packet as large as allowed has to fit wherever it may have to wait. */
function roomForPackets({ limits }: Config): readonly Fault[] {
  const { packetSize, outboxSoftBytes, outboxHardBytes } = limits
  const faults: Fault[] = []
  if (outboxSoftBytes >= outboxHardBytes)
    faults.push({
      path: ['limits', 'outboxSoftBytes'],
      found: String(outboxSoftBytes),
      allowed: `less than \`limits.outboxHardBytes\` (${outboxHardBytes})`,
    })
  for (const key of ['outboxHardBytes', 'queuedBytes'] as const) {
    if (limits[key] < packetSize)
      faults.push({
        path: ['limits', key],
        found: String(limits[key]),
        allowed: `at least \`limits.packetSize\` (${packetSize}), so that one packet fits`,
      })
  }
  return faults
}

function sharedByWorkers({ node, store }: Config): readonly Fault[] {
  if (node.workers === 1 || store.type === 'redis') return []
  return [
    {
      path: ['node', 'workers'],
      found: `${showValue(node.workers)} with \`store.type: ${store.type}\`, which belongs to one process`,
      allowed: '1, or `store.type: redis`, which the processes share',
    },
  ]
}

function oneRedis({ store, redis }: Config): readonly Fault[] {
  if (redis === undefined) {
    if (store.type !== 'redis') return []
    return [
      {
        path: ['redis'],
        found: 'nothing, with `store.type: redis`',
        allowed: 'one of `redis.url`, `redis.nodes` (Cluster), `redis.sentinels`',
      },
    ]
  }
  const { url, nodes, sentinels, master, caFile, certFile, keyFile } = redis
  const faults: Fault[] = []
  const kinds = Object.entries({ url, nodes, sentinels }).filter(([, value]) => value !== undefined)
  if (kinds.length !== 1)
    faults.push({
      path: ['redis'],
      found: kinds.length === 0 ? 'no address' : kinds.map(([key]) => `\`${key}\``).join(' and '),
      allowed: 'exactly one of `url`, `nodes` (Cluster), `sentinels`',
    })
  if ((sentinels === undefined) !== (master === undefined))
    faults.push({
      path: ['redis', 'master'],
      found:
        master === undefined ? 'nothing, with `sentinels`' : `${showValue(master)} without \`sentinels\``,
      allowed: 'the name of the master, together with `sentinels`',
    })
  const addresses = [...(url === undefined ? [] : [url]), ...(nodes ?? []), ...(sentinels ?? [])]
  const encrypted = addresses.filter((address) => address.startsWith('rediss:')).length
  if (nodes !== undefined && encrypted > 0 && encrypted < nodes.length)
    faults.push({
      path: ['redis', 'nodes'],
      found: '`redis:` beside `rediss:`',
      allowed: 'one of the two for all nodes',
    })
  if (nodes?.some((address) => /\/[1-9]\d*$/.test(address)) === true)
    faults.push({
      path: ['redis', 'nodes'],
      found: 'the number of a database',
      allowed: 'URLs without one: a Cluster has database 0 only',
    })
  if (encrypted === 0 && (caFile ?? certFile ?? keyFile) !== undefined)
    faults.push({
      path: ['redis'],
      found: 'certificate files, but no `rediss://` address',
      allowed: '`rediss://`, or no certificate files',
    })
  if ((certFile === undefined) !== (keyFile === undefined))
    faults.push({
      path: ['redis', certFile === undefined ? 'certFile' : 'keyFile'],
      found: 'nothing',
      allowed: '`certFile` and `keyFile` together',
    })
  return faults
}
