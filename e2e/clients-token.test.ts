import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import path from 'node:path'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { OpenClaw } from './harness/openclaw.js'
import { GatewayProcess, type ProcessOptions } from './harness/process.js'

const CERTIFICATES = path.join(import.meta.dirname, '..', 'broker', 'transport', 'testdata')
const CA = readFileSync(path.join(CERTIFICATES, 'ca.crt'))

const tls = {
  certFile: path.join(CERTIFICATES, 'server.crt'),
  keyFile: path.join(CERTIFICATES, 'server.key'),
}

const clients: MqttClient[] = []
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)))
})

/** Rejects with the reason code when the gateway refuses. */
async function connect(url: string, options: IClientOptions = {}): Promise<MqttClient> {
  const client = mqtt.connect(url, { protocolVersion: 5, reconnectPeriod: 0, ca: CA, ...options })
  clients.push(client)
  await new Promise<void>((resolve, reject) => {
    client.once('connect', () => resolve())
    client.once('error', reject)
    client.once('close', () => reject(new Error('closed')))
  })
  return client
}

describe('mqtt.js over wss with a token', () => {
  let gateway: GatewayProcess
  let url: string
  const tokens: string[] = []

  beforeAll(async () => {
    gateway = await GatewayProcess.prepare({
      config: ({ web, mqtt: tcp, admin }, folder) => ({
        node: { dataDir: path.join(folder, 'data') },
        listeners: [
          { name: 'wss', type: 'wss', port: web, tls },
          { name: 'mqtts', type: 'tls', port: tcp, tls },
        ],
        admin: { port: admin },
        auth: {
          anonymous: 'never',
          authenticators: [
            {
              type: 'jwt',
              secretFile: path.join(folder, 'jwt.secret'),
              algorithms: ['HS256'],
              clockToleranceSeconds: 0,
            },
          ],
        },
        access: {
          rules: [
            { allow: 'publish', topics: ['sensors/${username}/#'], roles: ['device'] },
            { allow: 'subscribe', topics: ['feeds/#'], roles: ['viewer'] },
            { deny: 'subscribe', topics: ['feeds/secret/#'], roles: ['viewer'] },
            { allow: 'both', topics: ['#'], roles: ['operator'] },
          ],
        },
        log: { level: 'trace' },
      }),
    })
    url = `wss://localhost:${gateway.ports.web}/mqtt`
    await token('--create-secret')
    await gateway.start()
  })

  afterAll(async () => {
    await gateway.dispose()
    // Whatever came, at the lowest level of the log: no token, not even its signature alone.
    expect(tokens.length).toBeGreaterThan(8)
    for (const secret of tokens) {
      expect(gateway.output).not.toContain(secret)
      expect(gateway.output).not.toContain(secret.split('.').at(-1))
    }
  })

  async function token(...args: string[]): Promise<string> {
    const secretFile = path.join(gateway.folder, 'jwt.secret')
    const { code, stdout, stderr } = await OpenClaw.run(['token', '--secret-file', secretFile, ...args])
    if (code !== 0) throw new Error(stderr)
    tokens.push(stdout.trim())
    return stdout.trim()
  }

  it.each([4, 5] as const)('comes in with it as password (protocol version %i)', async (protocolVersion) => {
    const password = await token('--sub', 'alice', '--role', 'device')
    const client = await connect(url, { protocolVersion, username: 'alice', password })
    expect(client.connected).toBe(true)
  })

  it('comes in with it in the query of the URL, as browsers do', async () => {
    const client = await connect(`${url}?token=${await token('--role', 'viewer')}`)
    expect(client.connected).toBe(true)
  })

  it('comes in with it in the Authorization header', async () => {
    const authorization = `Bearer ${await token('--role', 'viewer')}`
    const client = await connect(url, { wsOptions: { headers: { authorization }, ca: CA } })
    expect(client.connected).toBe(true)
  })

  it('comes in over MQTT with TLS too', async () => {
    const password = await token('--role', 'viewer')
    const client = await connect(`mqtts://localhost:${gateway.ports.mqtt}`, { username: 'demo', password })
    expect(client.connected).toBe(true)
  })

  it('is refused without, with a wrong one, and with somebody else’s name', async () => {
    await expect(connect(url)).rejects.toMatchObject({ code: 0x87 })
    const good = await token('--sub', 'alice', '--role', 'device')
    const [header = '', body = '', signature = ''] = good.split('.')
    const forged = `${header}.${body}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`
    tokens.push(forged)
    await expect(connect(url, { username: 'alice', password: forged })).rejects.toMatchObject({ code: 0x86 })
    await expect(connect(`${url}?token=${forged}`)).rejects.toMatchObject({ code: 0x86 })
    await expect(connect(url, { username: 'bob', password: good })).rejects.toMatchObject({ code: 0x86 })
  })

  it('is let go when its token expires, and not let in again with it', async () => {
    const password = await token('--expires', '2s', '--sub', 'alice', '--role', 'device')
    const client = await connect(url, { username: 'alice', password })
    const told = new Promise<number | undefined>((resolve) => {
      client.once('disconnect', ({ reasonCode }) => resolve(reasonCode))
    })
    const closed = new Promise<void>((resolve) => client.once('close', () => resolve()))
    // Not authorized: the right to be here has ended.
    expect(await told).toBe(0x87)
    await closed
    await expect(connect(url, { username: 'alice', password })).rejects.toMatchObject({ code: 0x86 })
  })

  it('neither reads nor writes what its rules deny', async () => {
    const operator = await connect(url, { password: await token('--role', 'operator'), username: 'demo' })
    const seen: string[] = []
    operator.on('message', (topic) => seen.push(topic))
    await operator.subscribeAsync('#', { qos: 1 })

    const device = await connect(url, {
      username: 'dev1',
      password: await token('--sub', 'dev1', '--role', 'device'),
    })
    await device.publishAsync('sensors/dev1/t', '1', { qos: 1 })
    await expect(device.publishAsync('sensors/dev2/t', '2', { qos: 1 })).rejects.toMatchObject({ code: 0x87 })
    await expect(device.subscribeAsync('feeds/#')).rejects.toThrow()

    const viewer = await connect(`${url}?token=${await token('--role', 'viewer')}`)
    const viewed: string[] = []
    viewer.on('message', (topic) => viewed.push(topic))
    await expect(viewer.publishAsync('feeds/a', 'x', { qos: 1 })).rejects.toMatchObject({ code: 0x87 })
    await expect(viewer.subscribeAsync('feeds/secret/x')).rejects.toThrow()
    await expect(viewer.subscribeAsync('#')).rejects.toThrow()
    await viewer.subscribeAsync('feeds/#', { qos: 1 })
    await operator.publishAsync('feeds/secret/x', 'hidden', { qos: 1 })
    await operator.publishAsync('feeds/open', 'seen', { qos: 1 })
    // Everything published before the answer to another SUBSCRIBE has arrived with it.
    await viewer.subscribeAsync('feeds/none')
    await operator.subscribeAsync('none')
    expect(viewed).toEqual(['feeds/open'])
    expect(seen).toEqual(['sensors/dev1/t', 'feeds/secret/x', 'feeds/open'])
  })
})

describe('clients without credentials', () => {
  const onAllAddresses: ProcessOptions = {
    config: ({ mqtt: tcp, admin }, folder) => ({
      node: { dataDir: path.join(folder, 'data') },
      store: { type: 'memory' },
      listeners: [{ name: 'mqtt', type: 'tcp', host: '0.0.0.0', port: tcp }],
      admin: { port: admin },
      auth: {
        anonymous: 'loopback',
        authenticators: [{ type: 'jwt', secretFile: path.join(folder, 'jwt.secret'), algorithms: ['HS256'] }],
      },
    }),
  }

  /** An address of this machine that is not loopback; connecting to it makes it the client's address too. */
  const outside = Object.values(networkInterfaces())
    .flat()
    .find((address) => address?.family === 'IPv4' && !address.internal)?.address

  it.skipIf(outside === undefined)('come in from this machine only', async () => {
    const gateway = await GatewayProcess.prepare(onAllAddresses)
    try {
      const secretFile = path.join(gateway.folder, 'jwt.secret')
      await OpenClaw.run(['token', '--secret-file', secretFile, '--create-secret'])
      await gateway.start()
      const { mqtt: port } = gateway.ports
      expect((await connect(`mqtt://127.0.0.1:${port}`)).connected).toBe(true)
      await expect(connect(`mqtt://${outside ?? ''}:${port}`)).rejects.toMatchObject({ code: 0x87 })
    } finally {
      await gateway.dispose()
    }
  })
})
