import { expect, test } from 'vitest'
import { useCluster } from '../harness/cluster.js'
import { unique } from '../harness/gateway.js'
import { describeWith } from '../harness/programs.js'
import { RawClient } from '../harness/raw-client.js'

describeWith('a node that is drained and goes on', ['redis-server'], () => {
  const cluster = useCluster({ nodes: 1 })

  test('sends its clients to the others, and publishes the wills of those that do not go there', async () => {
    const drained = await cluster.addNode()
    const staying = cluster.nodes[0]!
    const topic = unique('will')
    const watcher = await staying.connect()
    await watcher.subscribe(`${topic}/+`, 1)
    const will = (name: string, willDelayInterval: number) => ({
      will: {
        topic: `${topic}/${name}`,
        payload: Buffer.from(name),
        qos: 1 as const,
        retain: false,
        properties: { willDelayInterval },
      },
    })
    const lasting = { properties: { sessionExpiryInterval: 600 } }
    const clientId = unique('c')
    const patient = await drained.connect({ clientId, ...lasting, ...will('patient', 60) })
    await patient.subscribe(topic, 1)
    const gone = await drained.connect({ ...lasting, ...will('gone', 0) })
    const unfinished = await drained.open()

    const draining = drained.running.drain()
    expect(await patient.disconnectedByPeer()).toBe(0x9c)
    const back = await staying.connect({ clientId, clean: false, ...lasting })
    expect(back.connack.sessionPresent).toBe(true)
    expect(await gone.disconnectedByPeer()).toBe(0x9c)
    await draining
    // Not at the end of the process, which may be far.
    expect((await watcher.nextPublish()).topic).toBe(`${topic}/gone`)

    unfinished.sendConnect({ clientId: unique('late') })
    expect((await unfinished.next('connack')).reasonCode).toBe(0x9c)
    await expect(RawClient.open(drained.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    // What it still does between nodes: a publish there reaches whoever was here.
    await watcher.publishAcknowledged(topic, 'x', { qos: 1 })
    expect((await back.nextPublish()).payload.toString()).toBe('x')

    await drained.stop()
    cluster.nodes.splice(cluster.nodes.indexOf(drained), 1)
    expect((await watcher.settled()).filter(({ cmd }) => cmd === 'publish')).toEqual([])
  })
})
