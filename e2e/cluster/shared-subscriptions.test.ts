import { expect, test } from 'vitest'
import { useCluster } from '../harness/cluster.js'
import { unique, type TestGateway } from '../harness/gateway.js'
import { describeWith } from '../harness/programs.js'
import type { Publish, RawClient } from '../harness/raw-client.js'

const lasting = { sessionExpiryInterval: 600 }

async function taken(client: RawClient): Promise<string[]> {
  const packets = await client.settled()
  return packets
    .filter(({ cmd }) => cmd === 'publish')
    .map((packet) => (packet as Publish).payload.toString())
}

describeWith('shared subscriptions over nodes', ['redis-server'], () => {
  const cluster = useCluster()
  const node = (index: number): TestGateway => cluster.nodes[index]!

  async function member(
    on: TestGateway,
    filter: string,
    qos: 0 | 1 | 2,
    properties: { sessionExpiryInterval?: number } = {},
  ): Promise<RawClient> {
    const client = await on.connect({ properties })
    await client.subscribe(filter, qos)
    return client
  }

  test.each([
    ['clean sessions', [{}, {}, {}]],
    ['lasting sessions', [lasting, lasting, lasting]],
    ['both', [{}, lasting, {}]],
  ])(
    '[MQTT-4.8.2-1] each message goes to one member, and each member gets its share: %s',
    async (_, kinds) => {
      for (const qos of [0, 1, 2] as const) {
        const topic = unique('t')
        const members: RawClient[] = []
        for (const [i, properties] of kinds.entries())
          members.push(await member(node(i), `$share/g/${topic}`, qos, properties))
        const publishers = await Promise.all(cluster.nodes.map((each) => each.connect()))
        const sent = Array.from({ length: 90 }, (_, i) => `${i}`)
        for (const [i, payload] of sent.entries()) {
          const publisher = publishers[i % 3]!
          if (qos === 0) publisher.publish(topic, payload)
          else await publisher.publishAcknowledged(topic, payload, { qos })
        }
        const received: string[][] = members.map(() => [])
        await expect
          .poll(async () => {
            for (const [i, client] of members.entries()) received[i]!.push(...(await taken(client)))
            return received.flat().length
          })
          .toBe(90)
        expect(received.flat().sort()).toEqual([...sent].sort())
        for (const share of received) expect(share.length).toBeGreaterThanOrEqual(15)
        for (const client of members) await client.disconnect(0, { sessionExpiryInterval: 0 }).catch(() => {})
      }
    },
  )

  test('a member that has left gets nothing, on whichever node', async () => {
    const topic = unique('t')
    const leaving = await member(node(1), `$share/g/${topic}`, 1)
    const staying = await member(node(2), `$share/g/${topic}`, 1)
    await leaving.unsubscribe(`$share/g/${topic}`)
    const publisher = await node(0).connect()
    for (let i = 0; i < 6; i++) await publisher.publishAcknowledged(topic, `${i}`, { qos: 1 })
    expect((await staying.nextPayloads(6)).sort()).toEqual(['0', '1', '2', '3', '4', '5'])
    expect(await taken(leaving)).toEqual([])
  })

  test('a lasting member that is connected to another node is preferred to one that is not connected', async () => {
    const topic = unique('t')
    const away = await member(node(0), `$share/g/${topic}`, 1, lasting)
    const here = await member(node(1), `$share/g/${topic}`, 1, lasting)
    await away.disconnect()
    const publisher = await node(2).connect()
    // Who comes and goes is told to the others, and preferred as soon as they know.
    await expect
      .poll(async () => {
        for (let i = 0; i < 3; i++) await publisher.publishAcknowledged(topic, 'x', { qos: 1 })
        return (await taken(here)).length
      })
      .toBe(3)
  })

  test('[MQTT-4.8.2-5] what a member leaves unsettled when its session ends goes to one on another node', async () => {
    const topic = unique('t')
    const clientId = unique('c')
    const former = await node(0).connect({ clientId, properties: lasting })
    await former.subscribe(`$share/g/${topic}`, 1)
    await former.disconnect()
    const publisher = await node(2).connect()
    for (const payload of ['1', '2', '3']) await publisher.publishAcknowledged(topic, payload, { qos: 1 })
    const other = await member(node(1), `$share/g/${topic}`, 1)
    // Its session ends on a node that it was never connected to.
    await node(2).connect({ clientId, clean: true })
    expect((await other.nextPayloads(3)).sort()).toEqual(['1', '2', '3'])
  })
})
