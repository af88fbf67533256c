import { createRequire } from 'node:module'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { GatewayError } from '../../broker/contract/errors.js'
import type { PeerSettings } from './broker.js'
import type { Recipe } from './launched-broker.js'
import type { StockSettings } from './stock-main.js'

/**
 * The stack as the packages come: aedes, websocket-stream (with a `ws` that has no published vulnerabilities), mqemitter,
 * and the persistence of aedes; with `redis` both in Redis, so that several nodes are one broker.
 */
export function stockRecipe(store: 'memory' | 'redis', settings: PeerSettings): Recipe {
  const main = fileURLToPath(new URL('./stock-main.js', import.meta.url))
  const packages = ['aedes', 'websocket-stream', 'ws', 'mqemitter', 'aedes-persistence']
  if (store === 'redis') packages.push('aedes-persistence-redis', 'mqemitter-redis')
  return {
    name: store === 'redis' ? 'stock-redis' : 'stock',
    version: packages.map((name) => `${name} ${versionOf(name)}`).join(', '),
    path: '/mqtt',
    redis: store === 'redis',
    prepare({ ports, redis }) {
      const stock: StockSettings = {
        ws: ports.ws,
        tcp: ports.tcp,
        redis,
      }
      const { profiles } = settings
      const profile = profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profiles}`]
      return {
        settings: JSON.stringify(stock),
        command: [process.execPath, ...profile, main, JSON.stringify(stock)],
      }
    },
  }
}

function versionOf(name: string): string {
  const require = createRequire(import.meta.url)
  const file = require.resolve
    .paths(name)
    ?.map((place) => `${place}/${name}/package.json`)
    .find((place) => existsSync(place))
  if (file === undefined) {
    throw new GatewayError('BROKER_UNREACHABLE', `the stock stack needs the package ${name}`, {
      hint: 'It is a development dependency: run from a checkout, after `npm install`.',
    })
  }
  return (require(file) as { version: string }).version
}
