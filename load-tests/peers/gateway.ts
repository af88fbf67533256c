import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { GatewayError } from '../../broker/contract/errors.js'
import type { ConfigInput } from '../../config/schema.js'
import type { PeerSettings } from './broker.js'
import type { Recipe, Workplace } from './launched-broker.js'

export interface GatewayVariant {
  readonly store: 'level' | 'memory' | 'redis'
  /** `store.sync`. */
  readonly sync: boolean
}

const main = fileURLToPath(new URL('../../broker/app/main.js', import.meta.url))
const packageFile = new URL('../../../package.json', import.meta.url)

/** The built gateway of this package: access rules and metrics on, as it would run in earnest. */
export function gatewayRecipe(variant: GatewayVariant, settings: PeerSettings): Recipe {
  if (!existsSync(main)) {
    throw new GatewayError('BROKER_UNREACHABLE', `there is no built gateway at ${main}`, {
      hint: 'Build it with `npm run build`, or name a broker with --target.',
    })
  }
  const { version } = JSON.parse(readFileSync(packageFile, 'utf8')) as { version: string }
  return {
    name: nameOf(variant),
    version: `${version}, Node ${process.versions.node}`,
    path: '/mqtt',
    redis: variant.store === 'redis',
    prepare(workplace) {
      const text = stringify(configuration(variant, settings, workplace))
      const file = join(workplace.directory, 'gateway.yaml')
      writeFileSync(file, text)
      const { profiles } = settings
      const profile = profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profiles}`]
      return { settings: text, command: [process.execPath, ...profile, main, 'start', '--config', file] }
    },
  }
}

function nameOf({ store, sync }: GatewayVariant): string {
  if (store === 'redis') return 'gateway-redis'
  return sync ? 'gateway-sync' : 'gateway'
}

function configuration(
  { store, sync }: GatewayVariant,
  settings: PeerSettings,
  { directory, ports, redis, certificate }: Workplace,
): ConfigInput {
  const host = '127.0.0.1'
  const tls = certificate && { certFile: certificate.certFile, keyFile: certificate.keyFile }
  return {
    node: { dataDir: join(directory, 'data') },
    listeners: [
      { name: 'ws', type: 'ws', host, port: ports.ws },
      { name: 'tcp', type: 'tcp', host, port: ports.tcp },
      ...(tls === undefined
        ? []
        : ([
            { name: 'wss', type: 'wss', host, port: ports.wss, tls },
            { name: 'tls', type: 'tls', host, port: ports.tls, tls },
          ] as const)),
    ],
    store: { type: store, sync },
    ...(redis !== undefined && { redis: { url: `redis://${host}:${redis}` } }),
    access: {
      rules: [
        { deny: 'both', topics: ['load/forbidden/#'] },
        { allow: 'both', topics: ['load/#', 'clients/${clientId}/#'] },
      ],
    },
    limits: { receiveMaximum: settings.inflight, queuedMessages: settings.queued },
    admin: { host, port: ports.spare },
    log: { level: 'warn' },
  }
}
