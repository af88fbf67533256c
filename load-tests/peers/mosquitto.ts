import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { GatewayError } from '../../broker/contract/errors.js'
import type { PeerSettings } from './broker.js'
import type { Recipe, Workplace } from './launched-broker.js'

/** Debian puts it where the search path of users does not lead. */
const PLACES = ['/usr/sbin/mosquitto', '/usr/local/sbin/mosquitto', '/opt/homebrew/sbin/mosquitto']

/**
 * An installed Mosquitto with the bounds of the gateway. What costs it and the gateway has on stays off: access lists
 * and the log. `set_tcp_nodelay` keeps its small writes from waiting.
 */
export function mosquittoRecipe(settings: PeerSettings): Recipe {
  const program = PLACES.find((place) => existsSync(place)) ?? 'mosquitto'
  const help = spawnSync(program, ['-h'], { encoding: 'utf8' })
  const version = /^mosquitto version (\S+)/m.exec(help.error === undefined ? help.stdout : '')?.[1]
  if (version === undefined) {
    throw new GatewayError('BROKER_UNREACHABLE', 'mosquitto is not installed', {
      hint: 'Install it (`apt-get install mosquitto`), or leave --peer mosquitto out.',
    })
  }
  return {
    name: 'mosquitto',
    version,
    path: '/mqtt',
    redis: false,
    prepare(workplace) {
      const text = configuration(settings, workplace)
      const file = join(workplace.directory, 'mosquitto.conf')
      writeFileSync(file, text)
      return { settings: text, command: [program, '-c', file] }
    },
  }
}

function configuration(settings: PeerSettings, { directory, ports, certificate }: Workplace): string {
  const tls =
    certificate === undefined ? [] : [`certfile ${certificate.certFile}`, `keyfile ${certificate.keyFile}`]
  const listener = (port: number, protocol: string, more: readonly string[] = []) => [
    `listener ${port} 127.0.0.1`,
    `protocol ${protocol}`,
    ...more,
  ]
  return [
    'allow_anonymous true',
    'persistence true',
    `persistence_location ${directory}/`,
    'set_tcp_nodelay true',
    `max_inflight_messages ${settings.inflight}`,
    `max_queued_messages ${settings.queued}`,
    'log_dest none',
    // Started by root it becomes the user `mosquitto`, who may not write here.
    ...(process.getuid?.() === 0 ? ['user root'] : []),
    ...listener(ports.ws, 'websockets'),
    ...listener(ports.tcp, 'mqtt'),
    ...(certificate === undefined
      ? []
      : [...listener(ports.wss, 'websockets', tls), ...listener(ports.tls, 'mqtt', tls)]),
    '',
  ].join('\n')
}
