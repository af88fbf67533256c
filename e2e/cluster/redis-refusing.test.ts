import { expect, test } from 'vitest'
import { startRedis, until, type RedisServer } from '../../broker/store/redis/testing.js'
import { TestCluster } from '../harness/cluster.js'
import { unique, type TestGateway } from '../harness/gateway.js'
import { OpenClaw } from '../harness/openclaw.js'
import { describeWith } from '../harness/programs.js'

const lasting = { sessionExpiryInterval: 600 }

interface Trouble {
  readonly what: string
  readonly begin: (redis: RedisServer) => Promise<unknown>
  readonly end: (redis: RedisServer) => Promise<unknown>
  readonly reason: RegExp
  /** Of a publish that comes meanwhile; undefined: it waits. */
  readonly answer: number | undefined
}

const troubles: readonly Trouble[] = [
  {
    what: 'has no memory left',
    begin: ({ client }) => client.config('SET', 'maxmemory', '1'),
    end: ({ client }) => client.config('SET', 'maxmemory', '0'),
    reason: /^store: .*no memory left.*Raise `maxmemory`/,
    answer: 0x80,
  },
  {
    what: 'has become a replica',
    begin: ({ client }) => client.call('replicaof', '127.0.0.1', '1'),
    end: ({ client }) => client.call('replicaof', 'no', 'one'),
    reason: /^store: .*read-only replica.*Point `redis` at the master/,
    answer: undefined,
  },
  {
    what: 'has too few replicas of its own',
    begin: ({ client }) => client.config('SET', 'min-replicas-to-write', '1'),
    end: ({ client }) => client.config('SET', 'min-replicas-to-write', '0'),
    reason: /^store: .*min-replicas-to-write.*Bring its replicas back/,
    answer: undefined,
  },
]

describeWith('two nodes on a Redis that refuses', ['redis-server'], () => {
  test.concurrent.each(troubles)(
    'since it $what: nothing is acknowledged that is not stored, and all goes on behind it',
    async ({ begin, end, reason, answer }) => {
      const cluster = new TestCluster({
        nodes: 2,
        config: { shutdown: { drainSeconds: 1, graceSeconds: 1 } },
      })
      try {
        await cluster.start()
        const [a, b] = cluster.nodes as [TestGateway, TestGateway]
        const [redis] = cluster.servers as [RedisServer]
        const topic = unique('t')
        const clientId = unique('c')
        const offline = await b.connect({ clientId, properties: lasting })
        await offline.subscribe(topic, 1)
        await offline.disconnect()
        const receiver = await b.connect({ properties: lasting })
        await receiver.subscribe(topic, 1)
        const publisher = await a.connect()
        await publisher.publishAcknowledged(topic, 'before', { qos: 1 })
        await receiver.acknowledge(await receiver.nextPublish())

        await begin(redis)
        await until(() => cluster.nodes.every(({ notReady }) => notReady.some((said) => reason.test(said))))
        const messageId = publisher.publish(topic, 'meanwhile', { qos: 1 })
        const puback = publisher.next('puback', (packet) => packet.messageId === messageId)
        if (answer !== undefined) expect((await puback).reasonCode).toBe(answer)
        expect(await receiver.settled()).toEqual([])
        await end(redis)
        if (answer === undefined) expect((await puback).reasonCode ?? 0).toBe(0)
        await until(() => cluster.nodes.every(({ notReady }) => notReady.length === 0))
        await publisher.publishAcknowledged(topic, 'behind', { qos: 1 })

        const expected = answer === undefined ? ['meanwhile', 'behind'] : ['behind']
        expect(await receiver.nextPayloads(expected.length)).toEqual(expected)
        const back = await a.connect({ clientId, clean: false, properties: lasting })
        expect(await back.nextPayloads(expected.length + 1)).toEqual(['before', ...expected])
        for (const client of [publisher, receiver]) expect(client.open).toBe(true)
        const events = cluster.nodes.flatMap(({ log }) => log.map(({ event }) => event))
        expect(events).toContain('store_write_failed')
        for (const event of ['store_entry_damaged', 'node_expelled']) expect(events).not.toContain(event)
      } finally {
        await cluster.stop()
      }
    },
  )
})

describeWith('the command on a Redis that cannot serve', ['redis-server'], () => {
  test('says what is wrong and what to do, without the password, and ends', async () => {
    const server = await startRedis(['--requirepass', 'right-secret'])
    const replica = await startRedis(['--replicaof', '127.0.0.1', '1'])
    try {
      await server.client.call(
        'acl',
        'setuser',
        'few',
        'on',
        '>few-secret',
        '~openclaw*',
        '&openclaw*',
        '+@all',
        '-xadd',
      )
      const at = (credentials: string, { port }: RedisServer): string =>
        `redis://${credentials}127.0.0.1:${port}`
      const cases = [
        {
          url: at(':wrong-secret@', server),
          said: /REDIS_UNREACHABLE: .*refuses the user or password.*\nCheck user and password/,
        },
        {
          url: at('', server),
          said: /REDIS_UNREACHABLE: .*refuses the user or password.*\nCheck user and password/,
        },
        {
          url: at('few:few-secret@', server),
          said: /REDIS_UNSUITABLE: .*rights .*refused: xadd.*\nGive them with: ACL SETUSER/,
        },
        { url: at(':right-secret@', server) + '/99', said: /REDIS_UNSUITABLE: .*database 99/ },
        { url: at('', replica), said: /REDIS_UNSUITABLE: .*read-only replica.*\nPoint/ },
        {
          url: 'redis://user:hidden-secret@127.0.0.1:1',
          said: /REDIS_UNREACHABLE: .*ECONNREFUSED.*\nCheck the address/,
        },
        {
          url: 'redis://user:hidden-secret@nowhere.invalid',
          said: /REDIS_UNREACHABLE: .*nowhere\.invalid.*\nCheck the address/,
        },
      ]
      const outcomes = await Promise.all(
        cases.map(({ url }) =>
          OpenClaw.run([
            'start',
            ...['store.type=redis', `redis.url=${url}`, 'redis.connectTimeoutSeconds=2'].flatMap((each) => [
              '--set',
              each,
            ]),
            ...['listeners=[{ name: mqtt, type: tcp, port: 0 }]', 'admin.enabled=false'].flatMap((each) => [
              '--set',
              each,
            ]),
          ]),
        ),
      )
      for (const [i, { code, stdout, stderr }] of outcomes.entries()) {
        expect(stderr + stdout).toMatch(cases[i]!.said)
        expect(stderr + stdout).not.toMatch(/secret/)
        expect(code).toBe(1)
      }
    } finally {
      await Promise.all([server.stop(), replica.stop()])
    }
  })
})
