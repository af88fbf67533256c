import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { loadConfig } from './load.js'

/** docker-compose.yml and what it mounts, held against each other and against the metrics that there are. */

interface Service {
  readonly image: string
  readonly command?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly volumes?: readonly string[]
  readonly depends_on?: Readonly<Record<string, unknown>> | readonly string[]
  readonly ports?: readonly string[]
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>
  readonly networks: {
    readonly default: { readonly ipam: { readonly config: readonly { subnet: string }[] } }
  }
  readonly volumes: Readonly<Record<string, unknown>>
}

const text = (file: string): string => readFileSync(file, 'utf8')
const yaml = (file: string): unknown => parse(text(file), { merge: true })

const compose = yaml('docker-compose.yml') as Compose
const services = Object.entries(compose.services)
const haproxy = text('config/compose/haproxy.cfg')

/** Ports that the containers listen on. */
const LISTENING: Readonly<Record<string, readonly string[]>> = {
  redis: ['6379'],
  'gateway-1': ['1883', '8080', '9090'],
  'gateway-2': ['1883', '8080', '9090'],
  haproxy: ['1883', '8080', '8405'],
  prometheus: ['9090'],
}

function expectListening(host: string, port: string): void {
  expect(Object.keys(compose.services)).toContain(host)
  expect(LISTENING[host]).toContain(port)
}

describe('docker-compose.yml', () => {
  it.each(services)('%s mounts what there is, and waits for whom there is', (_name, service) => {
    for (const volume of service.volumes ?? []) {
      const [source = '', target = ''] = volume.split(':')
      expect(target).toMatch(/^\//)
      if (source.startsWith('./')) expect(existsSync(source), source).toBe(true)
      else expect(Object.keys(compose.volumes)).toContain(source)
    }
    const waits = Array.isArray(service.depends_on)
      ? service.depends_on
      : Object.keys(service.depends_on ?? {})
    for (const other of waits as string[]) expect(Object.keys(compose.services)).toContain(other)
  })

  it.each(services)('%s is published on this machine alone, under a fixed version', (name, service) => {
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/)
    if (service.image !== 'openclaw-gateway') expect(service.image, name).toMatch(/:v?\d+\.\d+/)
  })

  it('gives gateways names of their own, and more time to drain than they take', () => {
    const names = ['gateway-1', 'gateway-2'].map((name) => compose.services[name]?.environment?.['NODE_ID'])
    expect(names).toEqual(['gateway-1', 'gateway-2'])
    const { shutdown } = gatewayConfig()
    const grace = /stop_grace_period: (\d+)s/.exec(text('docker-compose.yml'))?.[1]
    expect(Number(grace)).toBeGreaterThan(
      shutdown.noticeSeconds + shutdown.drainSeconds + 3 * shutdown.graceSeconds,
    )
  })
})

const checkAof = spawnSync('redis-check-aof', ['--version']).error === undefined

describe('Redis', () => {
  it.skipIf(!checkAof)('is started without the transaction that a crash has torn', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'openclaw-compose-'))
    try {
      const whole = command('SELECT', '0') + command('SET', 'a', '1')
      const torn = command('MULTI') + command('SET', 'b', '1') + command('SET', 'c', '1').slice(0, 20)
      const aof = path.join(folder, 'appendonlydir')
      mkdirSync(aof)
      writeFileSync(path.join(aof, 'appendonly.aof.1.incr.aof'), whole + torn)
      writeFileSync(
        path.join(aof, 'appendonly.aof.manifest'),
        'file appendonly.aof.1.incr.aof seq 1 type i\n',
      )
      // In the image it changes the user and starts Redis.
      writeFileSync(path.join(folder, 'docker-entrypoint.sh'), '#!/bin/sh\necho "started: $*"\n', {
        mode: 0o755,
      })
      const { status, stdout, stderr } = spawnSync('sh', [path.resolve('config/compose/redis.sh')], {
        cwd: folder,
        env: { ...process.env, PATH: `${folder}:${process.env['PATH'] ?? ''}` },
        encoding: 'utf8',
      })
      expect(status, stdout + stderr).toBe(0)
      expect(stdout).toContain('started: redis-server /usr/local/etc/redis/redis.conf')
      expect(readFileSync(path.join(aof, 'appendonly.aof.1.incr.aof'), 'latin1')).toBe(whole)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

/** As Redis writes it. */
function command(...words: readonly string[]): string {
  return [`*${words.length}`, ...words.flatMap((word) => [`$${word.length}`, word]), ''].join('\r\n')
}

function gatewayConfig() {
  return loadConfig({ file: 'config/compose/gateway.yaml', overrides: [], env: {} }).config
}

describe('the gateways', () => {
  it('have a sound configuration, which fits the others', () => {
    const { listeners, redis, store, admin } = gatewayConfig()
    expect(store.type).toBe('redis')
    const { hostname, port } = new URL(redis?.url ?? '')
    expectListening(hostname, port)
    expect(listeners.map((listener) => String(listener.port)).toSorted()).toEqual(['1883', '8080'])
    expect(admin.port).toBe(9090)
  })

  it('trust the network of the project', () => {
    const { subnet } = compose.networks.default.ipam.config[0] ?? { subnet: '' }
    for (const listener of gatewayConfig().listeners)
      expect(listener.proxyProtocol?.trusted).toEqual([subnet])
  })
})

describe('HAProxy', () => {
  it('finds the gateways under their names, with the PROXY protocol and a health check', () => {
    const servers = [
      ...haproxy.matchAll(/^ {2}server .*-(gateway-\d)}:\$\{GATEWAY.*-(\d+)}" port .*-(\d+)}"$/gm),
    ]
    expect(servers).toHaveLength(4)
    for (const [, host = '', port = '', admin = ''] of servers) {
      expectListening(host, port)
      expectListening(host, admin)
    }
    expect(haproxy).toMatch(/^ {2}default-server send-proxy-v2 check /m)
    expect(haproxy).toContain('uri /readyz ')
    expect(haproxy).toContain('balance leastconn')
  })

  it('has been given up on after the gateways notice', () => {
    const [, seconds, falls] = /check inter (\d+)s fall (\d+)/.exec(haproxy) ?? []
    expect(gatewayConfig().shutdown.noticeSeconds).toBeGreaterThan(Number(seconds) * Number(falls))
  })
})

describe('Prometheus', () => {
  const prometheus = yaml('config/compose/prometheus.yml') as {
    rule_files: string[]
    scrape_configs: { static_configs: { targets: string[] }[] }[]
  }

  it('scrapes what there is', () => {
    for (const { static_configs } of prometheus.scrape_configs) {
      for (const target of static_configs.flatMap(({ targets }) => targets)) {
        const [host = '', port = ''] = target.split(':')
        expectListening(host, port)
      }
    }
  })

  it('has its rules mounted beside it', () => {
    const mounted = compose.services['prometheus']?.volumes?.map((volume) => volume.split(':')[1]) ?? []
    for (const file of prometheus.rule_files) expect(mounted).toContain(`/etc/prometheus/${file}`)
  })

  it.skipIf(spawnSync('promtool', ['--version']).error !== undefined)('is understood by promtool', () => {
    const { status, stdout, stderr } = spawnSync(
      'promtool',
      ['check', 'config', 'config/compose/prometheus.yml'],
      { encoding: 'utf8' },
    )
    expect(status, stdout + stderr).toBe(0)
  })

  it('alerts by metrics that there are', () => {
    const { groups } = yaml('config/compose/alerts.yml') as {
      groups: { rules: { alert: string; expr: string; annotations: { summary: string } }[] }[]
    }
    const rules = groups.flatMap((group) => group.rules)
    expect(rules.length).toBeGreaterThan(5)
    for (const { expr, annotations } of rules) {
      expectKnown(expr)
      expect(annotations.summary).toMatch(/\.$/)
    }
  })
})

describe('Grafana', () => {
  const folder = 'config/compose/grafana'

  it('has its data source where Prometheus is', () => {
    const { datasources } = yaml(`${folder}/provisioning/datasources/prometheus.yaml`) as {
      datasources: { uid: string; url: string }[]
    }
    const { hostname, port } = new URL(datasources[0]?.url ?? '')
    expectListening(hostname, port)
    expect(datasources[0]?.uid).toBe('prometheus')
  })

  it('finds the dashboards where they are mounted', () => {
    const { providers } = yaml(`${folder}/provisioning/dashboards/dashboards.yaml`) as {
      providers: { options: { path: string } }[]
    }
    const mounts = compose.services['grafana']?.volumes ?? []
    for (const { options } of providers) expect(mounts).toContain(`./${folder}/dashboards:${options.path}:ro`)
  })

  it.each(readdirSync(`${folder}/dashboards`))('%s shows metrics that there are', (file) => {
    const dashboard = JSON.parse(text(`${folder}/dashboards/${file}`)) as {
      panels: {
        id: number
        title: string
        datasource?: { uid: string }
        gridPos: { x: number; w: number }
        targets?: { expr: string }[]
      }[]
    }
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length)
    for (const { gridPos, datasource, targets = [] } of dashboard.panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24)
      if (targets.length > 0) expect(datasource?.uid).toBe('prometheus')
      for (const { expr } of targets) expectKnown(expr)
    }
  })
})

/** Of HAProxy's exporter, as far as rules and dashboards use them. */
const HAPROXY_METRICS = ['haproxy_backend_active_servers', 'haproxy_server_current_sessions']

/** Every metric of an expression is in docs/metrics.md, with the labels' values that it asks for. */
function expectKnown(expression: string): void {
  const used = expression.match(/\b(?:openclaw|process|nodejs|haproxy)_\w+/g) ?? []
  if (!expression.includes('up{')) expect(used.length).toBeGreaterThan(0)
  for (const name of used) {
    const row = metrics.get(name) ?? metrics.get(name.replace(/_(?:bucket|sum|count)$/, ''))
    expect(row !== undefined || HAPROXY_METRICS.includes(name), name).toBe(true)
  }
  for (const [, name = '', labels = ''] of expression.matchAll(/(openclaw_\w+)\{([^}]*)\}/g)) {
    for (const [, label = '', values = ''] of labels.matchAll(/(\w+)[!=]=?~?"([^"$]*)"/g)) {
      const row = metrics.get(name) ?? ''
      for (const value of values.split('|')) expect(row, `${name} ${label}`).toContain(`\`${value}\``)
    }
  }
}

const metrics = new Map(
  [...text('docs/metrics.md').matchAll(/^\| `(\w+)` .*$/gm)].map(([row, name = '']) => [name, row]),
)

it('the image leaves out nothing that the build reads', () => {
  const ignored = text('.dockerignore')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#') && !line.includes('*'))
  const { include = [] } = JSON.parse(text('tsconfig.json')) as { include?: string[] }
  expect(include.length).toBeGreaterThan(0)
  const commands = readdirSync('broker/app/commands').map((file) => text(`broker/app/commands/${file}`))
  for (const folder of ignored.filter((name) => existsSync(name) && statSync(name).isDirectory()))
    for (const source of commands) expect(source).not.toContain(`/${folder}/`)
})
