import mqtt, { type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { GatewayProcess } from './harness/process.js'

const VERSIONS = [
  { name: 'MQTT 3.1', protocolVersion: 3, protocolId: 'MQIsdp' },
  { name: 'MQTT 3.1.1', protocolVersion: 4, protocolId: 'MQTT' },
  { name: 'MQTT 5', protocolVersion: 5, protocolId: 'MQTT' },
] as const

let gateway: GatewayProcess
const clients: MqttClient[] = []

beforeAll(async () => {
  gateway = await GatewayProcess.start()
})
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)))
})
afterAll(() => gateway.dispose())

describe.each(['ws', 'tcp'])('mqtt.js over %s', (transport) => {
  describe.each(VERSIONS)('$name', ({ protocolVersion, protocolId }) => {
    const prefix = `js/${transport}/${protocolVersion}`

    function client(options: IClientOptions = {}): MqttClient {
      const { web, mqtt: tcp } = gateway.ports
      const url = transport === 'ws' ? `ws://127.0.0.1:${web}/mqtt` : `mqtt://127.0.0.1:${tcp}`
      const created = mqtt.connect(url, { protocolVersion, protocolId, reconnectPeriod: 0, ...options })
      clients.push(created)
      return created
    }

    async function connected(options?: IClientOptions): Promise<MqttClient> {
      const created = client(options)
      await once(created, 'connect')
      return created
    }

    it.each([0, 1, 2] as const)('exchanges messages with QoS %i', async (qos) => {
      const [from, to] = await Promise.all([connected(), connected()])
      await to.subscribeAsync(`${prefix}/qos/+`, { qos })
      const messages = collect(to, 3)
      for (const payload of ['a', 'b', 'c']) await from.publishAsync(`${prefix}/qos/${qos}`, payload, { qos })
      expect(await messages).toEqual(
        ['a', 'b', 'c'].map((payload) => ({ topic: `${prefix}/qos/${qos}`, payload, qos, retain: false })),
      )
    })

    it('gets a retained message', async () => {
      const topic = `${prefix}/retained`
      const from = await connected()
      await from.publishAsync(topic, 'kept', { qos: 1, retain: true })
      const to = await connected()
      const messages = collect(to, 1)
      await to.subscribeAsync(topic, { qos: 1 })
      expect(await messages).toEqual([{ topic, payload: 'kept', qos: 1, retain: true }])
    })

    it('leaves a will when its connection breaks', async () => {
      const topic = `${prefix}/will`
      const to = await connected()
      await to.subscribeAsync(topic, { qos: 1 })
      const messages = collect(to, 1)
      const dying = await connected({ will: { topic, payload: Buffer.from('gone'), qos: 1, retain: false } })
      dying.stream.destroy()
      expect(await messages).toEqual([{ topic, payload: 'gone', qos: 1, retain: false }])
    })

    it('finds in its session what was published while it was away', async () => {
      const clientId = `away-${transport}-${protocolVersion}`
      const session: IClientOptions = {
        clientId,
        clean: false,
        ...(protocolVersion === 5 && { properties: { sessionExpiryInterval: 3_600 } }),
      }
      const first = await connected(session)
      await first.subscribeAsync(`${prefix}/away`, { qos: 2 })
      await first.endAsync()
      const from = await connected()
      const payloads = Array.from({ length: 500 }, (_, i) => String(i))
      // mqtt.js minds no Receive Maximum: so many at a time as the gateway lets a client of MQTT 5 have under way.
      for (let i = 0; i < payloads.length; i += 100) {
        const some = payloads.slice(i, i + 100)
        await Promise.all(some.map((payload) => from.publishAsync(`${prefix}/away`, payload, { qos: 1 })))
      }
      const back = client(session)
      const messages = collect(back, payloads.length)
      const connack = await once(back, 'connect')
      // MQTT 3.1 has no such flag.
      expect(connack).toMatchObject({ sessionPresent: protocolVersion > 3 })
      expect((await messages).map(({ payload }) => payload)).toEqual(payloads)
    })
  })
})

it('mqtt.js gets user properties, content type and response topic as they were sent', async () => {
  const url = `ws://127.0.0.1:${gateway.ports.web}/mqtt`
  const client = await mqtt.connectAsync(url, { protocolVersion: 5 })
  clients.push(client)
  await client.subscribeAsync('js/properties')
  const arrived = new Promise<IPublishPacket>((resolve) => {
    client.on('message', (_topic, _payload, packet) => resolve(packet))
  })
  const properties = {
    contentType: 'text/plain',
    responseTopic: 'js/answer',
    correlationData: Buffer.from('7'),
    userProperties: { site: ['a', 'b'] },
  }
  await client.publishAsync('js/properties', 'x', { properties })
  expect((await arrived).properties).toMatchObject(properties)
})

interface Received {
  readonly topic: string
  readonly payload: string
  readonly qos: number
  readonly retain: boolean
}

function collect(client: MqttClient, count: number): Promise<readonly Received[]> {
  const received: Received[] = []
  return new Promise((resolve) => {
    client.on('message', (topic, payload, { qos, retain }) => {
      received.push({ topic, payload: payload.toString(), qos, retain })
      if (received.length === count) resolve(received)
    })
  })
}

function once(client: MqttClient, event: 'connect'): Promise<unknown> {
  return new Promise((resolve, reject) => {
    client.once(event, resolve)
    client.once('error', reject)
    client.once('close', () => reject(new Error('the connection was closed')))
  })
}
