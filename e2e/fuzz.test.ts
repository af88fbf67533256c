import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import mqttPacket, { type Packet } from 'mqtt-packet'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { unique, useGateway } from './harness/gateway.js'
import { RawClient, type ProtocolVersion } from './harness/raw-client.js'

/*
 * Whatever comes over the network: the gateway goes on, reports no defect and no error, keeps nothing behind, and
 * another client's messages go on undisturbed. A failing case is printed with its seed by fast-check.
 */

/** Connections in a case at most, and cases: about 1,500 connections in each test. */
const CROWD = 8
const CASES = 350
/** Bytes that the heap may have grown by, with everything gone: a leak of 8 KiB a connection would show. */
const HEAP_GROWTH = 40_000_000

/** For what the gateway does once it has noticed that the peers are gone. */
const PATIENCE = { timeout: 10_000 }

const gateway = useGateway({
  admin: { enabled: true, port: 0 },
  log: { level: 'warn' },
  limits: { packetSize: 65_536, sessionExpiryMaximumSeconds: 60, retainedMessages: 100, queuedMessages: 100 },
})

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

interface Hostile {
  readonly transport: 'tcp' | 'ws'
  readonly bytes: Buffer
  /** Where the bytes are cut into writes. */
  readonly cuts: readonly number[]
  /** Whether the peer vanishes at once, with its answers unread. */
  readonly rude: boolean
}

/** Sends the bytes cut as they say, and resolves when the connection has ended on both sides. */
async function assault({ transport, bytes, cuts, rude }: Hostile): Promise<void> {
  const client = transport === 'tcp' ? await gateway.open() : (await gateway.openWebSocket()).client
  let from = 0
  for (const to of [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b)) {
    if (to > from && client.open) client.write(bytes.subarray(from, to))
    from = to
    await new Promise((resolve) => setImmediate(resolve))
  }
  if (rude) client.socket.destroy()
  else client.socket.end()
  await client.closedByPeer()
}

/** A subscriber and a publisher who mind their own business meanwhile. */
class Witness {
  private readonly topic = unique('witness')
  private running = true
  private loop: Promise<number> | undefined

  private constructor(
    private readonly subscriber: RawClient,
    private readonly publisher: RawClient,
  ) {}

  static async start(): Promise<Witness> {
    // Not the gateway fixture's connections: those end with each test.
    const { port } = gateway
    const witness = new Witness(await RawClient.connect(port), await RawClient.connect(port))
    await witness.subscriber.subscribe(witness.topic, 1)
    witness.loop = witness.exchange()
    return witness
  }

  /** Ends the exchange; resolves to the messages that arrived, each once and in order. */
  async stop(): Promise<number> {
    this.running = false
    return (await this.loop) ?? 0
  }

  leave(): void {
    this.subscriber.socket.destroy()
    this.publisher.socket.destroy()
  }

  private async exchange(): Promise<number> {
    let count = 0
    for (; this.running; count++) {
      await this.publisher.publishAcknowledged(this.topic, `${count}`, {
        qos: 1,
        messageId: (count % 65_535) + 1,
      })
      const publish = await this.subscriber.nextPublish(this.topic)
      expect(publish).toMatchObject({ payload: Buffer.from(`${count}`), dup: false })
      await this.subscriber.acknowledge(publish)
    }
    return count
  }
}

const cuts = fc.array(fc.nat(600), { maxLength: 5 })
const transport = fc.constantFrom('tcp', 'tcp', 'ws' as const)
const rude = fc.boolean()
const version = fc.constantFrom<ProtocolVersion>(3, 4, 5)

function connectPacket(level: ProtocolVersion, clientId: string): Packet {
  return {
    cmd: 'connect',
    clientId,
    protocolVersion: level,
    protocolId: level === 3 ? 'MQIsdp' : 'MQTT',
    clean: false,
    keepalive: 60,
    will: { topic: 'fuzz/will', payload: 'gone', qos: 1, retain: true },
    ...(level === 5 && {
      properties: {
        sessionExpiryInterval: 30,
        topicAliasMaximum: 4,
        receiveMaximum: 3,
        userProperties: { a: 'b' },
      },
    }),
  }
}

/** Few names, so that the cases meet: takeovers, resumed sessions, messages for each other. */
const topic = fc.constantFrom('fuzz/a', 'fuzz/b', 'fuzz//', '/fuzz', 'fuzz/constructor', 'fuzz/__proto__')
const filter = fc.oneof(topic, fc.constantFrom('fuzz/#', '+/+', '$share/g/fuzz/#', '#', 'fuzz#', '__proto__'))
const messageId = fc.integer({ min: 1, max: 5 })
const qos = fc.constantFrom(0, 1, 2 as const)

const follower: fc.Arbitrary<Packet> = fc.oneof(
  fc
    .record({ topic, qos, retain: fc.boolean(), messageId, payload: fc.string({ maxLength: 40 }) })
    .map((fields): Packet => ({ cmd: 'publish', dup: false, ...fields })),
  fc.record({ filter, qos, messageId }).map((fields): Packet => ({
    cmd: 'subscribe',
    messageId: fields.messageId,
    subscriptions: [{ topic: fields.filter, qos: fields.qos, nl: false, rap: true, rh: 0 }],
  })),
  fc.record({ filter, messageId }).map((fields): Packet => ({
    cmd: 'unsubscribe',
    messageId: fields.messageId,
    unsubscriptions: [fields.filter],
  })),
  fc
    .record({ cmd: fc.constantFrom('puback', 'pubrec', 'pubrel', 'pubcomp' as const), messageId })
    .map((fields): Packet => fields),
  fc.constantFrom<Packet>({ cmd: 'pingreq' }, { cmd: 'disconnect' }),
)

const session: fc.Arbitrary<Buffer> = fc
  .record({
    level: version,
    clientId: fc.constantFrom('fuzz-1', 'fuzz-2', 'fuzz-3', '__proto__', 'constructor'),
    packets: fc.array(follower, { maxLength: 8 }),
  })
  .map(({ level, clientId, packets }) =>
    Buffer.concat(
      [connectPacket(level, clientId), ...packets].map((packet) =>
        mqttPacket.generate(packet, { protocolVersion: level }),
      ),
    ),
  )

const change = fc.record({
  at: fc.nat(600),
  kind: fc.constantFrom('set', 'flip', 'remove', 'insert', 'truncate'),
  value: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff)),
})

const mutated = fc.tuple(session, fc.array(change, { maxLength: 4 })).map(([bytes, changes]) => {
  const stream = [...bytes]
  for (const { at, kind, value } of changes) {
    // Most of CONNECT stays as it is, or nothing behind it would ever be looked at.
    const index = at % 4 === 0 ? at % stream.length : stream.length - 1 - (at % stream.length)
    if (kind === 'set') stream[index] = value
    else if (kind === 'flip') stream[index] = (stream[index] ?? 0) ^ (1 << (value & 7))
    else if (kind === 'remove') stream.splice(index, 1)
    else if (kind === 'insert') stream.splice(index, 0, value)
    else if (value < 64) stream.length = index
    if (stream.length === 0) break
  }
  return Buffer.from(stream)
})

const random = fc
  .tuple(fc.uint8Array({ maxLength: 200 }), fc.boolean(), version)
  .map(([bytes, connected, level]) =>
    connected
      ? Buffer.concat([
          mqttPacket.generate(connectPacket(level, 'fuzz-1'), { protocolVersion: level }),
          Buffer.from(bytes),
        ])
      : Buffer.from(bytes),
  )

async function metric(name: string): Promise<number> {
  const page = await (await fetch(`${gateway.running.adminUrl}/metrics`)).text()
  const line = page
    .split('\n')
    .find((each) => each.startsWith(`openclaw_${name} `) || each.startsWith(`openclaw_${name}{`))
  if (line === undefined) throw new Error(`no metric ${name}`)
  return page
    .split('\n')
    .filter((each) => each.startsWith(`openclaw_${name} `) || each.startsWith(`openclaw_${name}{`))
    .reduce((sum, each) => sum + Number(each.split(' ').at(-1)), 0)
}

describe('a running gateway', () => {
  let witness: Witness
  let heapBefore = 0

  beforeAll(async () => {
    // What is compiled and cached at first is no leak.
    await attack(random, 40)
    await attack(mutated, 40)
    collectGarbage()
    heapBefore = process.memoryUsage().heapUsed
    witness = await Witness.start()
  })

  afterAll(() => witness.leave())

  async function attack(input: fc.Arbitrary<Buffer>, numRuns: number): Promise<void> {
    const hostile = fc.record({ transport, bytes: input, cuts, rude }) as fc.Arbitrary<Hostile>
    await fc.assert(
      fc.asyncProperty(fc.array(hostile, { minLength: 1, maxLength: CROWD }), async (crowd) => {
        await Promise.all(crowd.map(assault))
        expect(gateway.errors).toEqual([])
      }),
      { numRuns },
    )
  }

  test('takes random bytes', () => attack(random, CASES), 60_000)

  test(
    'takes packets of all versions with bytes changed, removed and inserted',
    () => attack(mutated, CASES),
    60_000,
  )

  test('takes valid packets in any order', () => attack(session, CASES), 60_000)

  test('disturbs nobody meanwhile, and keeps nothing behind', async () => {
    expect(await witness.stop()).toBeGreaterThan(100)
    await expect.poll(() => metric('connections'), PATIENCE).toBe(2)
    await expect.poll(() => metric('clients'), PATIENCE).toBe(2)
    // What the attackers have left ends within a minute; what is under way for their client ids may still be so.
    const sessionsLeft = () => {
      gateway.clock.skip(61)
      return metric('sessions')
    }
    await expect.poll(sessionsLeft, PATIENCE).toBe(2)
    expect(await metric('subscriptions')).toBe(1)
    expect(await metric('defects_total')).toBe(0)
    expect(await metric('connection_defects_total')).toBe(0)
    expect(gateway.errors).toEqual([])
    collectGarbage()
    expect(process.memoryUsage().heapUsed - heapBefore).toBeLessThan(HEAP_GROWTH)
  })
})
