import { expect, test } from 'vitest'
import { until } from '../../broker/store/redis/testing.js'
import { keysOf, TestCluster } from '../harness/cluster.js'
import type { LogLine, TestGateway } from '../harness/gateway.js'
import { unique } from '../harness/gateway.js'
import { describeWith } from '../harness/programs.js'
import type { RawClient } from '../harness/raw-client.js'

/** What nodes keep of each other in Redis, and what somebody else may do to it. */
interface Damage {
  readonly what: string
  /** Ends of keys, for each of which it is done. */
  readonly keys: readonly string[]
  readonly act: readonly (string | number | Buffer)[]
  /** Events of the log that name it; none: it is as if it had never been. */
  readonly named: string | undefined
}

const garbage = Buffer.from([0xff, 0xfe, 0, 1, 0x80])
const farAway = 4e15

const damages: readonly Damage[] = [
  {
    what: 'a stream of the wrong kind',
    keys: ['}:stream'],
    act: ['set', garbage],
    named: 'interest_damaged',
  },
  { what: 'no stream', keys: ['}:stream'], act: ['del'], named: undefined },
  {
    what: 'garbage in an entry of a stream',
    keys: ['}:stream'],
    act: ['xadd', '*', 'e', garbage],
    named: 'bus_entry_damaged',
  },
  {
    what: 'an entry of a stream with the last number there is',
    keys: ['}:stream'],
    act: ['xadd', '18446744073709551615-18446744073709551615', 'x', garbage],
    named: 'interest_damaged',
  },
  {
    what: 'interest of the wrong kind',
    keys: ['}:interest'],
    act: ['set', garbage],
    named: 'interest_damaged',
  },
  { what: 'no interest', keys: ['}:interest'], act: ['del'], named: undefined },
  {
    what: 'garbage fields in the interest',
    keys: ['}:interest'],
    act: ['hset', garbage, garbage, 'fa/#/b', '1', 'fa', 'x', 'version', garbage],
    named: 'interest_damaged',
  },
  {
    what: 'leases, and what belongs to them, of the wrong kind',
    keys: ['leases', 'beat', 'gone', 'orphans'],
    act: ['lpush', garbage],
    named: 'lease_damaged',
  },
  { what: 'no leases', keys: ['leases', 'beat'], act: ['del'], named: undefined },
  {
    what: 'garbage for the last beat',
    keys: ['beat'],
    act: ['set', garbage],
    named: undefined,
  },
  { what: 'a lease of nobody', keys: ['leases'], act: ['zadd', farAway, garbage], named: 'lease_damaged' },
  {
    what: 'a lease without an end',
    keys: ['leases'],
    act: ['zadd', '+inf', 'AAAAAAAAAAAA'],
    named: 'lease_damaged',
  },
  {
    what: 'an orphan of no name',
    keys: ['orphans'],
    act: ['hset', garbage, garbage],
    named: 'lease_damaged',
  },
  { what: 'news of the wrong kind', keys: ['news'], act: ['set', garbage], named: 'lease_damaged' },
]

describeWith('a damaged value in what nodes keep of each other', ['redis-server'], () => {
  test.concurrent.each(damages)(
    '$what: costs nothing else, is named, and no node ends',
    async ({ keys, act, named }) => {
      const cluster = new TestCluster({
        nodes: 2,
        config: { shutdown: { drainSeconds: 1, graceSeconds: 1 } },
      })
      try {
        await cluster.start()
        const [a, b] = cluster.nodes as [TestGateway, TestGateway]
        const before = await Promise.all([pair(a, b), pair(b, a)])
        for (const each of before) await crosses(each)
        const [command, ...args] = act as [string, ...string[]]
        for (const key of await targets(cluster, keys)) {
          if (command === 'lpush') await redis(cluster, 'del', key)
          await redis(cluster, command, key, ...args)
        }
        // With those who were here before, with those who come now, and with a node that comes.
        for (const each of before) await crossesSoon(each)
        const c = await cluster.addNode()
        for (const each of [pair(a, b), pair(b, c), pair(c, a)]) await crossesSoon(await each)
        if (named !== undefined) await until(() => cluster.nodes.some(({ log }) => log.some(isNamed(named))))
        await until(() => cluster.nodes.every(({ notReady }) => notReady.length === 0))
        const expelled = cluster.nodes.flatMap(({ log }) => log.filter(isNamed('node_expelled')))
        expect(expelled).toEqual([])
      } finally {
        await cluster.stop()
      }
    },
  )
})

interface Pair {
  readonly topic: string
  readonly publisher: RawClient
  readonly receiver: RawClient
}

async function pair(from: TestGateway, to: TestGateway): Promise<Pair> {
  const topic = unique('t')
  const receiver = await to.connect()
  await receiver.subscribe(topic, 1)
  return { topic, publisher: await from.connect(), receiver }
}

async function crosses({ topic, publisher, receiver }: Pair): Promise<void> {
  await publisher.publishAcknowledged(topic, 'x', { qos: 1 })
  await receiver.acknowledge(await receiver.nextPublish(topic))
}

/** What is on its way while the damage is mended may be lost with it; what comes behind is not. */
async function crossesSoon({ topic, publisher, receiver }: Pair): Promise<void> {
  const arrived = async (): Promise<boolean> => {
    publisher.publish(topic, 'x')
    await publisher.settled()
    const packets = await receiver.settled()
    return packets.some((packet) => packet.cmd === 'publish')
  }
  await until(arrived)
  const last = unique('last')
  await publisher.publishAcknowledged(topic, last, { qos: 1 })
  const sameAsLast = (packet: { readonly payload: string | Buffer }): boolean =>
    String(packet.payload) === last
  await receiver.acknowledge(await receiver.next('publish', sameAsLast))
}

async function targets(cluster: TestCluster, ends: readonly string[]): Promise<readonly string[]> {
  const all = await keysOf(cluster.servers)
  return ends.flatMap((end) => {
    const found = all.filter((key) => key.endsWith(end))
    return found.length > 0 ? found : [`e2e{nodes}:${end}`]
  })
}

function redis(cluster: TestCluster, command: string, ...args: readonly string[]): Promise<unknown> {
  const [server] = cluster.servers
  if (server === undefined) throw new Error('there is no Redis')
  return server.client.call(command, ...args)
}

function isNamed(event: string): (line: LogLine) => boolean {
  return (line) => line.event === event
}
