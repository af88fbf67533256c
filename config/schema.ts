import { isIP } from 'node:net'
import { z } from 'zod'

/**
 * The configuration: one schema gives the types, the checks, `docs/configuration.md` and `config/schema.json`.
 * `describe` texts are the reference page; they say the unit. Types, ranges and defaults are added by it. The messages
 * of patterns say what is allowed. Contradictions between keys are in `checks.ts`.
 */

const port = z.int().min(0).max(65_535)
const host = z.string().min(1).default('127.0.0.1')
const seconds = z.number().positive()
const bytes = z.int().positive()
const file = z.string().min(1, 'a file name')

const tls = z.strictObject({
  certFile: file.describe('PEM file with the certificate chain.'),
  keyFile: file.describe('PEM file with the private key.'),
  caFile: file
    .optional()
    .describe('PEM file with the authorities that client certificates are checked against.'),
  clientCert: z
    .enum(['none', 'optional', 'required'])
    .default('none')
    .describe('Whether clients are asked for a certificate. `optional` and `required` need `caFile`.'),
})

const addressRange = z
  .string()
  .refine(isAddressRange, 'an IP address, or a range of them such as `10.0.0.0/8` or `fd00::/8`')

const listenerCommon = {
  name: z
    .string()
    .regex(/^[a-z0-9-]{1,64}$/, '1 to 64 of `a` to `z`, `0` to `9` and `-`')
    .describe('Name in logs and metrics; unique; 1 to 64 of `a` to `z`, `0` to `9` and `-`.'),
  host: host.describe(
    'Address to listen on. Another address than loopback needs authentication or `auth.anonymous: always`.',
  ),
  port: port.describe('TCP port, 0 for a free one.'),
  maxConnections: z
    .int()
    .positive()
    .default(100_000)
    .describe('Connections at a time; further ones are refused.'),
  proxyProtocol: z
    .strictObject({
      trusted: z
        .array(addressRange)
        .min(1)
        .describe(
          'Addresses of the proxies (`10.0.0.5`, `10.0.0.0/8`, `fd00::/8`). Nobody else may connect.',
        ),
    })
    .optional()
    .describe(
      'For a listener behind a proxy: each connection has to begin with a header of the PROXY protocol (version 1 or 2), which tells the address of the client.',
    ),
}

const webSocketCommon = {
  path: z
    .string()
    .regex(/^\/[^\s?#]*$/, 'a path that begins with `/`, without `?`, `#` and spaces')
    .default('/mqtt')
    .describe('URL path of the WebSocket endpoint.'),
  dashboard: z.boolean().default(false).describe('Serves the dashboard at `/`.'),
  origins: z
    .array(
      z.string().regex(/^(?:\*|https?:\/\/[^/?#\s@]+)$/, '`http(s)://host[:port]` without a path, or `*`'),
    )
    .default([])
    .describe(
      'Origins (`https://host[:port]`) whose pages may connect, besides the listener itself; `*` for any. Clients that send no Origin are not browsers and are let through.',
    ),
  compression: z
    .boolean()
    .default(false)
    .describe('Offers permessage-deflate. Costs CPU and up to 64 KiB a connection.'),
}

const listenerType =
  'MQTT over WebSocket (`ws`), the same over TLS (`wss`), over TCP (`tcp`), over TLS (`tls`).'

const listener = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('ws').describe(listenerType), ...listenerCommon, ...webSocketCommon }),
  z.strictObject({
    type: z.literal('wss').describe(listenerType),
    ...listenerCommon,
    ...webSocketCommon,
    tls: tls.describe('Certificate of the listener.'),
  }),
  z.strictObject({ type: z.literal('tcp').describe(listenerType), ...listenerCommon }),
  z.strictObject({
    type: z.literal('tls').describe(listenerType),
    ...listenerCommon,
    tls: tls.describe('Certificate of the listener.'),
  }),
])

const jwtAuthenticator = z.strictObject({
  type: z.literal('jwt').describe('JSON Web Tokens (RFC 7519).'),
  name: z
    .string()
    .regex(/^[a-z0-9-]{1,64}$/, '1 to 64 of `a` to `z`, `0` to `9` and `-`')
    .default('jwt')
    .describe('Name in logs and metrics; unique.'),
  jwksUrl: z
    .url({ protocol: /^https?$/, error: 'an `http` or `https` URL' })
    .optional()
    .describe('Key set, fetched and refreshed. One of `jwksUrl`, `jwksFile`, `secretFile`.'),
  jwksFile: file.optional().describe('Key set in a local JSON file.'),
  secretFile: file
    .optional()
    .describe('File with the shared secret of HS256, HS384, HS512; at least 32 bytes.'),
  algorithms: z
    .array(
      z.enum([
        'HS256',
        'HS384',
        'HS512',
        'RS256',
        'RS384',
        'RS512',
        'PS256',
        'PS384',
        'PS512',
        'ES256',
        'ES384',
        'ES512',
        'EdDSA',
      ]),
    )
    .min(1)
    .default(['RS256'])
    .describe(
      'Signature algorithms that are accepted. The HS ones go with `secretFile`, the others with key sets.',
    ),
  issuer: z.string().optional().describe('Expected `iss`.'),
  audience: z.string().optional().describe('Expected `aud`.'),
  usernameClaim: z.string().default('sub').describe('Claim that becomes the user name.'),
  rolesClaim: z
    .string()
    .default('roles')
    .describe('Claim (list of strings, or one string) that becomes the roles.'),
  clientIdClaim: z.string().optional().describe('Claim that has to equal the MQTT client identifier.'),
  clockToleranceSeconds: z
    .number()
    .min(0)
    .max(300)
    .default(5)
    .describe('Tolerance for `exp` and `nbf`, in seconds.'),
  timeoutSeconds: seconds.max(60).default(5).describe('Longest time for a decision, in seconds.'),
})

const scramAuthenticator = z.strictObject({
  type: z
    .literal('scram')
    .describe('SCRAM-SHA-256 (RFC 5802, RFC 7677), in enhanced authentication of MQTT 5.'),
  name: z
    .string()
    .regex(/^[a-z0-9-]{1,64}$/, '1 to 64 of `a` to `z`, `0` to `9` and `-`')
    .default('scram')
    .describe('Name in logs and metrics; unique.'),
  usersFile: file.describe('Users with their verifiers; `openclaw keys scram` writes it.'),
  timeoutSeconds: seconds.max(60).default(5).describe('Longest time for a step, in seconds.'),
})

const action = z.enum(['publish', 'subscribe', 'both'])

const accessRule = z
  .strictObject({
    allow: action.optional().describe('What the rule allows. A rule has either `allow` or `deny`.'),
    deny: action.optional().describe('What the rule denies.'),
    topics: z
      .array(z.string().min(1))
      .min(1)
      .describe('Topic filters; `${clientId}`, `${username}`, `${role}`, `${claims.x}` are filled in.'),
    roles: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe('The rule is for clients that have one of these roles. Without it: for all.'),
  })
  .refine(
    (rule) => (rule.allow === undefined) !== (rule.deny === undefined),
    'exactly one of `allow` and `deny`',
  )

const limits = z.strictObject({
  packetSize: z
    .int()
    .min(128)
    .max(268_435_455)
    .default(262_144)
    .describe('Largest packet from a client in bytes.'),
  connectTimeoutSeconds: seconds
    .max(300)
    .default(10)
    .describe('Seconds from the connection to its CONNACK, authentication included.'),
  receiveMaximum: z
    .int()
    .min(1)
    .max(65_535)
    .default(1_000)
    .describe(
      'QoS 1 and 2 publishes of one client under way at a time, both directions. An MQTT 5 client that sends more is disconnected (0x93); widespread clients send bursts without minding it, so keep it well above theirs.',
    ),
  topicAliasMaximum: z
    .int()
    .min(0)
    .max(65_535)
    .default(32)
    .describe('Topic aliases a connection may set, each direction.'),
  keepAliveMaximumSeconds: z
    .int()
    .min(0)
    .max(65_535)
    .default(0)
    .describe('Longest keep-alive in seconds; 0: as the client asks.'),
  sessionExpiryMaximumSeconds: z
    .int()
    .min(0)
    .max(0xffff_ffff)
    .default(0xffff_ffff)
    .describe('Longest session expiry in seconds; 4,294,967,295: never.'),
  queuedMessages: z.int().positive().default(10_000).describe('QoS 1 and 2 messages queued for one session.'),
  queuedBytes: bytes.default(67_108_864).describe('Payload bytes queued for one session.'),
  whenQueueFull: z
    .enum(['refuse-new', 'drop-oldest'])
    .default('drop-oldest')
    .describe('What gives way when the queue of a session is full. Every message that does is counted.'),
  retainedMessages: z.int().min(0).default(1_000_000).describe('Retained messages.'),
  retainedBytes: bytes.default(268_435_456).describe('Payload bytes of all retained messages.'),
  subscriptionsPerClient: z.int().positive().default(1_000).describe('Subscriptions of one session.'),
  topicLevels: z.int().min(1).max(100).default(32).describe('Levels of a topic name or filter.'),
  topicBytes: z.int().min(1).max(65_535).default(1_024).describe('UTF-8 bytes of a topic name or filter.'),
  clientIdBytes: z.int().min(23).max(65_535).default(256).describe('UTF-8 bytes of a client identifier.'),
  strictClientIds: z
    .boolean()
    .default(false)
    .describe('MQTT 3.1: refuse client identifiers of more than 23 characters.'),
  outboxSoftBytes: bytes
    .default(1_048_576)
    .describe('Bytes waiting for a slow receiver above which QoS 0 messages are dropped, oldest first.'),
  outboxHardBytes: bytes.default(8_388_608).describe('Bytes waiting above which the connection is closed.'),
})

const redisUrl = z
  .string()
  .regex(
    /^rediss?:\/\/[^\s/?#]+(?:\/\d{0,4})?$/,
    '`redis://` or `rediss://[user:password@]host[:port][/database]`',
  )

const redis = z.strictObject({
  url: redisUrl
    .optional()
    .describe(
      'A single Redis, `redis://[user:password@]host[:port][/database]`; `rediss://` for TLS. One of `url`, `nodes`, `sentinels`.',
    ),
  nodes: z
    .array(redisUrl)
    .min(1)
    .optional()
    .describe('A Redis Cluster: URLs of some of its nodes, from which the others are found.'),
  sentinels: z
    .array(redisUrl)
    .min(1)
    .optional()
    .describe(
      'A Redis behind Sentinel: URLs of the sentinels (user and password in them are for the sentinels).',
    ),
  master: z.string().min(1).optional().describe('Name of the master that the sentinels watch.'),
  username: z.string().min(1).optional().describe('ACL user, where the URL has none.'),
  password: z
    .string()
    .min(1)
    .optional()
    .describe('Password, where the URL has none; `${NAME}` keeps it out of the file.'),
  caFile: file
    .optional()
    .describe('PEM file with the authorities that certificates are checked against (`rediss://`).'),
  certFile: file.optional().describe('PEM file with a client certificate (`rediss://`).'),
  keyFile: file.optional().describe('PEM file with the key of the client certificate.'),
  keyPrefix: z
    .string()
    .regex(/^[A-Za-z0-9_.:-]{1,64}$/, '1 to 64 letters, digits, `_`, `.`, `:` and `-`')
    .default('openclaw')
    .describe(
      'What all keys and channels begin with. Gateways with the same one share sessions and messages.',
    ),
  waitReplicas: z
    .int()
    .min(0)
    .max(16)
    .default(0)
    .describe(
      'Replicas that must have a message before it is acknowledged. 0: a failover may lose what was acknowledged in its last moments.',
    ),
  connectTimeoutSeconds: seconds
    .max(300)
    .default(10)
    .describe('Seconds that the start waits for Redis before it gives up.'),
  commandTimeoutSeconds: seconds
    .max(60)
    .default(5)
    .describe(
      'Seconds without an answer after which a command is sent again. A command sent twice takes effect once.',
    ),
})

export const configSchema = z.strictObject({
  node: z
    .strictObject({
      id: z
        .string()
        .regex(/^[A-Za-z0-9_-]{1,64}$/, '1 to 64 letters, digits, `_` and `-`')
        .default('auto')
        .describe('Name of this node in logs, metrics and `$SYS`; `auto`: a fresh one each start.'),
      dataDir: z
        .string()
        .min(1)
        .default('./data')
        .describe('Folder of the embedded store; made when it is missing.'),
      workers: z
        .union([z.literal('auto'), z.int().min(1).max(256)])
        .default(1)
        .describe(
          'Processes behind the ports of the listeners; `auto`: one for each core. More than one need `store.type: redis`.',
        ),
    })
    .prefault({})
    .describe('This process.'),
  listeners: z
    .array(listener)
    .min(1)
    .default([
      {
        type: 'ws',
        name: 'web',
        host: '127.0.0.1',
        port: 8080,
        path: '/mqtt',
        dashboard: true,
        origins: [],
        compression: false,
        maxConnections: 100_000,
      },
      { type: 'tcp', name: 'mqtt', host: '127.0.0.1', port: 1883, maxConnections: 100_000 },
    ])
    .describe('Addresses that clients connect to.'),
  store: z
    .strictObject({
      type: z
        .enum(['memory', 'level', 'redis'])
        .default('level')
        .describe(
          '`memory` forgets at the end of the process; `level` keeps everything in `node.dataDir`; `redis` in a Redis that several nodes may share.',
        ),
      sync: z
        .boolean()
        .default(false)
        .describe(
          'Whether an acknowledged message is on the disk (`true`: survives power loss) or handed to the operating system (`false`: survives the end of the process).',
        ),
    })
    .prefault({})
    .describe('Where sessions, queued and retained messages are kept.'),
  redis: redis.optional().describe('The Redis of `store.type: redis`.'),
  cluster: z
    .strictObject({
      leaseSeconds: seconds
        .min(0.5)
        .max(300)
        .default(10)
        .describe(
          'Seconds of silence after which the other nodes take this one for dead, publish the wills of its clients and take over; the same on all nodes. It tells them three times as often that it lives.',
        ),
    })
    .prefault({})
    .describe('The nodes that share a Redis and a `redis.keyPrefix`.'),
  auth: z
    .strictObject({
      anonymous: z
        .enum(['loopback', 'always', 'never'])
        .default('loopback')
        .describe(
          'Who may connect without credentials: clients on this machine, everybody, nobody. Behind a proxy on this machine that does not tell their addresses (`proxyProtocol`) all clients look local: use `never`.',
        ),
      authenticators: z
        .array(z.discriminatedUnion('type', [jwtAuthenticator, scramAuthenticator]))
        .default([])
        .describe('Asked in order; the first one that knows the kind of credentials decides.'),
    })
    .prefault({})
    .describe('Who may connect.'),
  access: z
    .strictObject({
      rules: z
        .array(accessRule)
        .optional()
        .describe(
          'Deny wins; what no rule allows is denied. Without rules: everything but topics that begin with `$`.',
        ),
    })
    .prefault({})
    .describe('Who may publish and subscribe to what.'),
  limits: limits.prefault({}).describe('Bounds of the protocol and of memory.'),
  session: z
    .strictObject({
      responseInformation: z
        .string()
        .min(1)
        .optional()
        .describe(
          'Topic prefix told to MQTT 5 clients that ask for response information; `${clientId}` is filled in.',
        ),
      serverReference: z
        .string()
        .min(1)
        .optional()
        .describe(
          'Another server (`host:port`, several separated by spaces) that MQTT 5 clients are sent to when this one shuts down.',
        ),
    })
    .prefault({})
    .describe('What MQTT 5 clients are told.'),
  bridges: z
    .strictObject({
      file: file.optional().describe('Pipelines to run inside the gateway; none without a file.'),
    })
    .prefault({})
    .describe('Pipelines.'),
  admin: z
    .strictObject({
      enabled: z.boolean().default(true).describe('Whether there is an admin listener.'),
      host: host.describe('Address of the admin listener. Keep it off public networks.'),
      port: port.default(9090).describe('TCP port, 0 for a free one.'),
    })
    .prefault({})
    .describe('`/healthz`, `/readyz` and `/metrics` over HTTP.'),
  log: z
    .strictObject({
      level: z
        .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
        .default('info')
        .describe('Least level that is written.'),
      format: z
        .enum(['json', 'pretty'])
        .default('json')
        .describe('One JSON object a line, or text for people.'),
    })
    .prefault({})
    .describe('The log goes to standard output.'),
  sys: z
    .strictObject({
      intervalSeconds: z
        .number()
        .min(0)
        .max(86_400)
        .default(10)
        .describe(
          'Seconds between two rounds of the `$SYS/broker/` topics, up to 86,400; 0: none. Clients see them where an access rule allows `$SYS/#`. With `store.type: redis` they are below `$SYS/brokers/<node.id>/`.',
        ),
    })
    .prefault({})
    .describe(
      'The `$SYS` tree: what the gateway tells of itself by MQTT, under the names that Mosquitto uses.',
    ),
  shutdown: z
    .strictObject({
      graceSeconds: seconds
        .max(600)
        .default(4)
        .describe(
          'Seconds for connections to be told and for writes to finish; what is left is ended by force.',
        ),
      noticeSeconds: z
        .number()
        .min(0)
        .max(600)
        .default(0)
        .describe(
          'Seconds from `/readyz` saying no to the first client that is refused or asked to leave: time for load balancers to notice.',
        ),
      clientsPerSecond: z
        .int()
        .min(1)
        .max(1_000_000)
        .default(1_000)
        .describe('Clients asked to leave a second: others are not stormed by all of them at once.'),
      drainSeconds: seconds
        .max(86_400)
        .default(20)
        .describe(
          'Seconds in which all clients have been asked to leave; where `clientsPerSecond` is too slow for that they leave at a higher pace.',
        ),
    })
    .prefault({})
    .describe('The end of the process.'),
})

/** `address` or `address/bits`; zones (`%eth0`) belong to one machine and are none. */
function isAddressRange(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/')
  const family = address.includes('%') ? 0 : isIP(address)
  if (family === 0 || more.length > 0) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
}

/** As written in the file: everything with a default may be left out. */
export type ConfigInput = z.input<typeof configSchema>
export type Config = z.output<typeof configSchema>
export type ListenerConfig = Config['listeners'][number]
export type WebSocketListenerConfig = Extract<ListenerConfig, { type: 'ws' | 'wss' }>
export type TlsConfig = z.output<typeof tls>
export type ProxyProtocolConfig = NonNullable<ListenerConfig['proxyProtocol']>
export type RedisConfig = z.output<typeof redis>
export type LimitsConfig = Config['limits']
export type AuthenticatorConfig = Config['auth']['authenticators'][number]
export type JwtAuthenticatorConfig = Extract<AuthenticatorConfig, { type: 'jwt' }>
export type AccessRuleConfig = z.output<typeof accessRule>
