import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import mqtt from 'mqtt'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { OpenClaw, type Outcome } from './harness/openclaw.js'
import { GatewayProcess } from './harness/process.js'
import { RawClient } from './harness/raw-client.js'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'openclaw-command-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function file(name: string, text: string): Promise<string> {
  const full = path.join(folder, name)
  await writeFile(full, text)
  return full
}

function openclaw(...args: string[]): Promise<Outcome> {
  return OpenClaw.run(args, { cwd: folder })
}

/** Nothing but memory and free ports, so that a start that should fail and does not disturbs nobody. */
const HARMLESS = [
  ...['--set', 'store.type=memory', '--set', 'admin.port=0'],
  ...['--set', 'listeners=[{name: mqtt, type: tcp, port: 0}]'],
]

describe('openclaw check-config', () => {
  it('says that a good file is good', async () => {
    const good = await file('good.yaml', 'listeners: [{ name: mqtt, type: tcp, port: 1883 }]')
    expect(await openclaw('check-config', good)).toMatchObject({ code: 0, stdout: `ok: ${good}\n` })
  })

  it('lists all problems with their paths and places', async () => {
    const bad = await file(
      'bad.yaml',
      'listeners:\n  - { name: web, type: ws, prot: 1 }\nfoo: 1\nstore: { type: oracle }\n',
    )
    const { code, stderr } = await openclaw('check-config', bad)
    expect(code).toBe(2)
    const problems = stderr.split('\n').filter((line) => /^ {2}\S+: found .*bad\.yaml:\d+:\d+\)$/.test(line))
    expect(problems.map((line) => line.trim().split(':')[0])).toEqual([
      'listeners[0].port',
      'listeners[0].prot',
      'store.type',
      'foo',
    ])
  })

  it('tells a program as one JSON object', async () => {
    const bad = await file('bad.yaml', 'foo: 1')
    const { code, stdout } = await openclaw('check-config', '--json', bad)
    expect(code).toBe(2)
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, problems: [{ path: 'foo' }] })
  })

  it('takes overrides into account', async () => {
    const good = await file('good.yaml', '{}')
    const { code, stderr } = await openclaw('check-config', good, '--set', 'limits.packetSize=7')
    expect(code).toBe(2)
    expect(stderr).toContain('limits.packetSize: found 7')
  })
})

describe('openclaw start refuses, with one message and exit code 2,', () => {
  async function refused(...args: string[]): Promise<string> {
    const { code, stderr } = await openclaw('start', ...args)
    expect({ code, stack: stderr.includes('    at ') }).toEqual({ code: 2, stack: false })
    return stderr
  }

  it('an unknown key', async () => {
    const bad = await file('gateway.yaml', 'storage: { type: level }')
    expect(await refused('--config', bad)).toMatch(/^CONFIG_INVALID: storage: found an unknown key/)
  })

  it('what is not YAML', async () => {
    const bad = await file('gateway.yaml', 'store: [1\nlimits')
    expect(await refused('--config', bad)).toMatch(/^CONFIG_\w+: .*gateway\.yaml/)
  })

  it('a file that is not there', async () => {
    expect(await refused('--config', 'nowhere.yaml')).toBe('CONFIG_UNREADABLE: nowhere.yaml does not exist\n')
  })

  it('a bridge with a wrong template', async () => {
    const bridges = await file(
      'bridges.yaml',
      'pipelines: [{ name: x, source: { type: mqtt, topic: "a/{b}" }, sink: { type: mqtt, topic: "c/{d}" } }]',
    )
    const said = await refused(...HARMLESS, '--set', `bridges.file=${bridges}`)
    expect(said).toMatch(/^BRIDGES_INVALID: pipelines\[0\]\.sink\.topic: found "c\/\{d\}"/)
  })

  it('a certificate that is not there', async () => {
    const tls = '{ certFile: server.crt, keyFile: server.key }'
    const listeners = `listeners=[{ name: mqtts, type: tls, port: 0, tls: ${tls} }]`
    expect(await refused(...HARMLESS, '--set', listeners)).toMatch(/^TLS_FILE_INVALID: .*server\.crt/)
  })

  it('a port that is taken, and lets go of everything else', async () => {
    const occupied = net.createServer()
    await new Promise<void>((resolve) => occupied.listen(0, '127.0.0.1', resolve))
    const { port } = occupied.address() as AddressInfo
    const other = net.createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port: free } = other.address() as AddressInfo
    await new Promise((resolve) => other.close(resolve))
    const listeners = `listeners=[{name: first, type: tcp, port: ${free}}, {name: second, type: tcp, port: ${port}}]`
    const data = ['--set', `node.dataDir=${folder}/data`, '--set', 'store.type=level']
    const said = await refused(...HARMLESS, ...data, '--set', listeners)
    expect(said).toMatch(new RegExp(`^ADDRESS_IN_USE: .*127\\.0\\.0\\.1:${port}`))
    await new Promise((resolve) => occupied.close(resolve))
    // The same start works now: neither the first listener nor the data directory is held by anybody.
    const second = new OpenClaw(['start', ...HARMLESS, ...data, '--set', listeners], { cwd: folder })
    await connectable(free)
    await second.signal('SIGTERM')
  })

  it('wrong usage', async () => {
    await refused('--nonsense')
    expect(await openclaw('nonsense')).toMatchObject({ code: 2 })
  })
})

describe('openclaw start', () => {
  it('takes what --set says, and ends cleanly when it is told to', async () => {
    const gateway = await GatewayProcess.start({ args: ['--set', 'limits.receiveMaximum=7'] })
    try {
      const client = await RawClient.connect(gateway.ports.mqtt, { clientId: 'watcher' })
      expect(client.connack.properties).toMatchObject({ receiveMaximum: 7 })
      const old = await RawClient.connect(gateway.ports.mqtt, { clientId: 'old', protocolVersion: 4 })
      const startedAt = performance.now()
      const stopped = gateway.stop()
      // Server shutting down [MQTT-3.14.2-1].
      expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x8b })
      await Promise.all([client.closedByPeer(), old.closedByPeer()])
      expect(await stopped).toMatchObject({ code: 0, signal: null })
      expect(performance.now() - startedAt).toBeLessThan(5_000)
    } finally {
      await gateway.dispose()
    }
  })

  it('ends at once at a second signal', async () => {
    const gateway = await GatewayProcess.start()
    try {
      const first = gateway.stop()
      await gateway.stop()
      expect([0, 1]).toContain((await first).code)
    } finally {
      await gateway.dispose()
    }
  })
})

describe('credentials', () => {
  it('openclaw token makes a secret and a token, and does not overwrite a secret', async () => {
    const secret = path.join(folder, 'jwt.secret')
    const args = ['token', '--secret-file', secret, '--create-secret', '--sub', 'alice', '--role', 'viewer']
    const { code, stdout } = await openclaw(...args)
    expect(code).toBe(0)
    const claims = JSON.parse(Buffer.from(stdout.split('.')[1] ?? '', 'base64url').toString()) as unknown
    expect(claims).toMatchObject({ sub: 'alice', roles: ['viewer'] })
    const before = await readFile(secret, 'utf8')
    expect((await openclaw(...args)).code).not.toBe(0)
    expect(await readFile(secret, 'utf8')).toBe(before)
    expect(await openclaw('token')).toMatchObject({ code: 2 })
  })

  it('openclaw keys scram puts a user into a file, never the password', async () => {
    const users = path.join(folder, 'users.scram')
    const { code, stderr } = await OpenClaw.run(['keys', 'scram', users, 'alice', '--role', 'viewer'], {
      input: 'correct horse\n',
    })
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining('alice') as string })
    const text = await readFile(users, 'utf8')
    expect(text).toContain('alice')
    expect(text).not.toContain('correct horse')
    const generated = await openclaw('keys', 'scram', users, 'bob', '--generate')
    expect(generated.stdout.trim()).toHaveLength(32)
  })
})

describe('beside a gateway', () => {
  let gateway: GatewayProcess
  beforeAll(async () => {
    gateway = await GatewayProcess.start()
  })
  afterAll(() => gateway.dispose())

  it.each(['ws', 'mqtt'])('openclaw sim runs a fleet over %s and sums up', async (scheme) => {
    const { web, mqtt: tcp } = gateway.ports
    const broker = scheme === 'ws' ? `ws://127.0.0.1:${web}/mqtt` : `mqtt://127.0.0.1:${tcp}`
    const options = ['--devices', '10', '--interval', '0.2', '--connect-rate', '100', '--for', '3s', '--json']
    const { code, stdout } = await openclaw('sim', '--broker', broker, ...options)
    expect(code).toBe(0)
    const summary = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Record<string, number>
    expect(summary['devicesConnected']).toBe(10)
    expect(summary['published']).toBeGreaterThan(50)
    expect(summary['publishErrors']).toBe(0)
  })

  it('openclaw sim says when nobody answers', async () => {
    const { code, stderr } = await openclaw(
      'sim',
      '--broker',
      'mqtt://127.0.0.1:1',
      '--devices',
      '1',
      '--for',
      '1s',
    )
    expect(code).toBe(1)
    expect(stderr).toContain('mqtt://127.0.0.1:1 could not be reached')
  })

  it('openclaw bridges turns readings into feeds, and sums up at SIGTERM', async () => {
    const bridges = await file(
      'bridges.yaml',
      `pipelines:
  - name: rooms
    source: { type: mqtt, topic: 'sensors/{room}/{device}', qos: 1 }
    window: { type: tumbling, sizes: [1h], by: [room], time: ts, maxAhead: 2h }
    sink: { type: mqtt, topic: 'feeds/{room}/{window}', retain: true }
`,
    )
    const url = `mqtt://127.0.0.1:${gateway.ports.mqtt}`
    const beside = new OpenClaw(['bridges', '--broker', url, '--config', bridges, '--json'])
    const client = await mqtt.connectAsync(url)
    try {
      await said(beside, 'running')
      // Of an hour that stays open for as long as the test takes.
      const ts = Math.ceil(Date.now() / 3_600_000) * 3_600_000
      for (const value of [1, 2, 6])
        await client.publishAsync('sensors/lab/d', JSON.stringify({ ts, value }), { qos: 1 })
      const feed = new Promise<string>((resolve) =>
        client.once('message', (_topic, payload) => resolve(payload.toString())),
      )
      await client.subscribeAsync('feeds/#')
      const { code, stdout } = await beside.signal('SIGTERM')
      expect(code).toBe(0)
      expect(JSON.parse(stdout)).toMatchObject({ pipelines: { rooms: { recordsIn: 3, recordsOut: 1 } } })
      expect(JSON.parse(await feed)).toMatchObject({
        count: 3,
        min: 1,
        max: 6,
        avg: 3,
        last: 6,
        partial: true,
      })
    } finally {
      await client.endAsync()
      await beside.signal('SIGKILL')
    }
  })
})

async function connectable(port: number): Promise<void> {
  const deadline = Date.now() + 10_000
  for (;;) {
    const socket = net.connect(port, '127.0.0.1')
    const open = await new Promise((resolve) => {
      socket.once('connect', () => resolve(true))
      socket.once('error', () => resolve(false))
    })
    socket.destroy()
    if (open === true) return
    if (Date.now() > deadline) throw new Error(`nobody listens on ${port}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

async function said(program: OpenClaw, text: string): Promise<void> {
  while (!program.output.includes(text)) {
    if (!program.running) throw new Error(`ended without saying ${text}:\n${program.output}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
