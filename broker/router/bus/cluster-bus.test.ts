import { afterEach, describe, expect, it } from 'vitest'
import { GatewayError } from '../../contract/errors.js'
import { ManualClock } from '../../contract/testing/manual-clock.js'
import { busKeys } from './bus-keys.js'
import type { ClusterBusParts } from './cluster-bus.js'
import { FakeRedis } from './fake-redis.js'
import { FakeCluster, Inbox, message, TestNode, until } from './testing.js'

const nodes: TestNode[] = []
let redis = new FakeRedis()
let cluster = new FakeCluster()

afterEach(async () => {
  redis.fate = () => 'answered'
  for (const { bus, membership, defects } of nodes.splice(0)) {
    cluster.leave(membership.self)
    await bus.stop()
    expect(defects).toEqual([])
  }
  redis = new FakeRedis()
  cluster = new FakeCluster()
})

async function join(name: string, options: Partial<ClusterBusParts> = {}): Promise<TestNode> {
  const node = new TestNode(cluster.join(name), redis, options)
  nodes.push(node)
  await node.bus.start()
  await node.bus.introduced()
  return node
}

async function two(
  options: Partial<ClusterBusParts> = {},
): Promise<{ a: TestNode; b: TestNode; inbox: Inbox }> {
  const a = await join('a', options)
  const b = await join('b')
  const inbox = new Inbox('x')
  b.subscribe(inbox, 'wanted/#')
  await b.interest.settled(true)
  return { a, b, inbox }
}

/** Nobody reads until `redis.fate` is set again. */
function holdReads(): void {
  redis.fate = (name) => (name === 'xread' ? 'lost' : 'answered')
  redis.cut()
}

const streamOf = (node: string): string => busKeys('test', node).stream
const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i))

function writtenOf({ bus }: TestNode): Promise<GatewayError | undefined> {
  return new Promise((resolve) => bus.written(resolve))
}

describe('forwarding', () => {
  it('costs nothing when nobody elsewhere wants the message', async () => {
    const { a } = await two()
    const { written } = a.events
    expect(a.publish(message('unwanted'))).toBe(0)
    await writtenOf(a)
    expect(a.bus.handedOver).toBe(0)
    expect(a.events.written).toBe(written)
  })

  it('packs a turn into one entry, and a message once with all that it is for', async () => {
    const { a, b } = await two()
    const { written } = a.events
    const sent = message('wanted/1', 'body', { qos: 1, publisherId: 'p' })
    const delivery = { qos: 1, retain: false, identifiers: [7], sharedFilter: undefined } as const
    a.publish(sent)
    a.bus.forward('b', sent)
    a.bus.forwardShared('b', sent, '$share/g/wanted/1')
    a.bus.forwardQueued('b', sent, { clientId: 'd', sequence: 12, delivery })
    for (let i = 0; i < 100; i++) a.publish(message('wanted/2'))
    expect(await writtenOf(a)).toBeUndefined()
    expect(a.events.written).toBe(written + 1)
    await until(() => b.messages.length === 101)
    expect(b.messages[0]?.message).toMatchObject({ topic: 'wanted/1', qos: 1, publisherId: 'p' })
    expect(b.messages[0]?.addressees).toEqual({
      all: true,
      sharedFilters: ['$share/g/wanted/1'],
      queued: [{ clientId: 'd', sequence: 12, delivery }],
    })
  })

  it('splits what is too much for one entry, and keeps the order', async () => {
    const { a, b, inbox } = await two()
    const before = a.events.written
    for (const each of numbers(3_000)) a.publish(message('wanted/x', each.padEnd(100)))
    await until(() => inbox.received.length === 3_000)
    expect(inbox.received.map((each) => each.trim())).toEqual(numbers(3_000))
    expect(a.events.written - before).toBeGreaterThan(5)
    expect(b.missedFrom).toEqual([])
  })

  it('takes a message that is larger than all that may wait', async () => {
    const { a, inbox } = await two({ backlogBytes: 10_000 })
    a.publish(message('wanted/big', 'x'.repeat(200_000)))
    await until(() => inbox.received.length === 1)
    expect(inbox.received[0]?.length).toBe(200_000)
  })

  it('drops QoS 0 first, refuses QoS 1, and tells the receiver of a queue to look into it', async () => {
    const { a, b, inbox } = await two({ backlogBytes: 4_000 })
    redis.fate = (name) => (name === 'xadd' ? 'lost' : 'answered')
    for (let i = 0; i < 20; i++) a.publish(message('wanted/0', 'x'.repeat(400)))
    expect(a.events.dropped.length).toBeGreaterThan(10)
    expect(new Set(a.events.dropped)).toEqual(new Set(['backlog 1']))
    const outcomes: (GatewayError | undefined)[] = []
    for (let i = 0; i < 20; i++) {
      a.publish(message('wanted/1', 'x'.repeat(400), { qos: 1 }))
      a.bus.written((error) => outcomes.push(error))
    }
    const delivery = { qos: 1, retain: false, identifiers: [], sharedFilter: undefined } as const
    a.bus.forwardQueued('b', message('q', 'q', { qos: 1 }), { clientId: 'd', sequence: 1, delivery })
    const last = writtenOf(a)
    await until(() => a.events.failing > 0)
    redis.fate = () => 'answered'
    // The queue has the copy that was refused: no error.
    expect(await last).toBeUndefined()
    expect(outcomes[0]).toBeUndefined()
    expect(outcomes.at(-1)?.code).toBe('STORE_BUSY')
    expect(outcomes.length).toBe(20)
    await until(() => b.missedFrom.length > 0)
    expect(b.missedFrom).toEqual(['a'])
    a.publish(message('wanted/again'))
    await until(() => inbox.received.includes('wanted/again'))
    expect(a.events.recovered).toBe(1)
  })

  it('waits for nobody when nothing is under way', () => {
    const node = new TestNode(cluster.join('alone'), redis)
    let error: GatewayError | undefined
    node.bus.written((end) => (error = end))
    expect(error?.code).toBe('STORE_CLOSED')
  })
})

describe('when connections are cut', () => {
  it('delivers once what was written without an answer', async () => {
    const { a, b, inbox } = await two()
    let writes = 0
    redis.fate = (name) => {
      if (name !== 'xadd') return 'answered'
      return (['unanswered', 'lost', 'answered'] as const)[writes++ % 3] ?? 'answered'
    }
    for (const each of numbers(30)) {
      a.publish(message('wanted/1', each, { qos: 1 }))
      if (Number(each) % 5 === 0) expect(await writtenOf(a)).toBeUndefined()
    }
    await until(() => inbox.received.length >= 30)
    expect(inbox.received).toEqual(numbers(30))
    expect(b.missedFrom).toEqual([])
  })

  it('reads on from where it was', async () => {
    const { a, b, inbox } = await two()
    let reads = 0
    redis.fate = (name) => (name === 'xread' && reads++ % 2 === 1 ? 'unanswered' : 'answered')
    for (const each of numbers(6)) {
      a.publish(message('wanted/1', each))
      await writtenOf(a)
    }
    await until(() => inbox.received.length >= 6)
    expect(inbox.received).toEqual(numbers(6))
    expect(b.missedFrom).toEqual([])
  })

  it('finds out that entries were trimmed away', async () => {
    const { a, b, inbox } = await two()
    holdReads()
    for (const each of ['lost', 'kept']) {
      a.publish(message('wanted/1', each))
      await writtenOf(a)
      const stream = redis.streams.get(streamOf('b'))
      if (each === 'lost' && stream !== undefined) stream.entries = []
    }
    redis.fate = () => 'answered'
    await until(() => inbox.received.includes('kept'))
    expect(inbox.received).toEqual(['kept'])
    expect(b.missedFrom).toEqual(['a'])
  })

  it('reads everything again that another process of Redis gives numbers below', async () => {
    const { a, b, inbox } = await two()
    a.publish(message('wanted/1', 'first'))
    await until(() => inbox.received.length === 1)
    const stream = redis.streams.get(streamOf('b'))
    if (stream !== undefined) stream.last -= 1
    redis.process = 'b'
    redis.cut()
    a.publish(message('wanted/1', 'second'))
    await until(() => inbox.received.includes('second'))
    await until(() => b.missedFrom.length > 0)
    expect(inbox.received).toEqual(['first', 'second'])
    expect(b.missedFrom).toContain(undefined)
  })

  it('makes its stream anew when Redis has lost it, and is found again', async () => {
    const { a, b, inbox } = await two()
    redis.flush()
    redis.process = 'b'
    a.publish(message('wanted/1', 'waits for the stream'))
    // Its publisher does not.
    expect(await writtenOf(a)).toBeUndefined()
    expect(inbox.received).toEqual([])
    redis.cut()
    await until(() => inbox.received.length > 0)
    expect(inbox.received).toEqual(['waits for the stream'])
    expect(b.missedFrom).toEqual([undefined])
    const late = await join('late')
    expect(late.publish(message('wanted/1'))).toBe(1)
  })
})

describe('that Redis does not take something', () => {
  it('is told once while a part of it does, and its end once', async () => {
    const { a, b, inbox } = await two()
    const c = await join('c')
    c.subscribe(inbox, 'wanted/#')
    await c.interest.settled(true)
    redis.fate = (name, args) => (name === 'xadd' && args[0] === streamOf('b') ? 'lost' : 'answered')
    for (const each of numbers(5)) {
      a.publish(message('wanted/x', each))
      await until(() => inbox.received.includes(each))
      await until(() => a.events.failing > 0)
    }
    expect([a.events.failing, a.events.recovered]).toEqual([1, 0])
    redis.fate = () => 'answered'
    await until(() => b.messages.length === 5)
    expect([a.events.failing, a.events.recovered]).toEqual([1, 1])
  })

  it('is told once while this node can write, and read nothing', async () => {
    const { a } = await two()
    let reads = 0
    redis.fate = (name) => (name === 'xread' && ++reads > 0 ? 'lost' : 'answered')
    redis.cut()
    await until(() => reads > 6)
    expect([a.events.failing, a.events.recovered]).toEqual([1, 0])
    redis.fate = () => 'answered'
    await until(() => a.events.recovered > 0)
  })
})

describe('damaged entries', () => {
  it('cost themselves', async () => {
    const { a, b, inbox } = await two()
    redis.append(streamOf('b'), Buffer.from('no entry'))
    a.publish(message('wanted/1'))
    await until(() => inbox.received.length === 1)
    expect(b.events.damaged.length).toBe(1)
    expect(b.missedFrom).toEqual([undefined])
  })
})

describe('nodes that come and go', () => {
  it('lets a stream outlive its node by a minute until others know of that, and longer from then on', async () => {
    const node = new TestNode(cluster.join('a'), redis)
    nodes.push(node)
    await node.bus.start()
    expect(redis.lifetimes.get(streamOf('a'))).toBe(60)
    await node.bus.introduced()
    await until(() => redis.lifetimes.get(streamOf('a')) === 600)
  })

  it('lets go of what is for a node that has left', async () => {
    const { a } = await two()
    redis.fate = (name) => (name === 'xadd' ? 'lost' : 'answered')
    a.publish(message('wanted/1', 'unread', { qos: 1 }))
    const written = writtenOf(a)
    const asked = a.bus.ask('b', { kind: 'caught-up' }, 10_000)
    await until(() => a.events.failing > 0)
    cluster.leave('b')
    expect(await written).toBeUndefined()
    expect(await asked).toBe(false)
    expect(a.events.dropped).toEqual(['node_left 1'])
    expect(a.publish(message('wanted/1'))).toBe(0)
    expect(await a.bus.ask('b', { kind: 'caught-up' }, 10_000)).toBe(false)
  })

  it('removes the keys of a node that it takes over from, or says that it could not', async () => {
    const { a } = await two()
    cluster.leave('b')
    const adopt = async (): Promise<void> => {
      for (const watcher of a.membership.watchers) await watcher.adopted?.({ sessions: [], wills: [] }, 'b')
    }
    redis.fate = (name) => (name === 'del' ? 'lost' : 'answered')
    await expect(adopt()).rejects.toThrow()
    redis.fate = () => 'answered'
    await adopt()
    expect(redis.keys.filter((key) => key.includes('{bus:b}'))).toEqual([])
  })

  it('removes its own keys when Redis is back, if it was away when the node was expelled', async () => {
    const { a } = await two()
    redis.fate = (name) => (name === 'del' ? 'lost' : 'answered')
    await cluster.replace(a.membership, 'a2')
    expect(redis.keys.some((key) => key.includes('{bus:a}'))).toBe(true)
    redis.fate = () => 'answered'
    redis.reconnect()
    await until(() => !redis.keys.some((key) => key.includes('{bus:a}')))
  })

  it('reads what a node wrote before it left', async () => {
    const { a, inbox } = await two()
    holdReads()
    a.publish(message('wanted/1', 'last words'))
    await writtenOf(a)
    cluster.leave('a')
    redis.fate = () => 'answered'
    await until(() => inbox.received.length === 1)
    expect(inbox.received).toEqual(['last words'])
  })

  it('goes on for a node that was taken for gone and comes back under its name, though that heard nothing of it', async () => {
    const { a, b, inbox } = await two()
    for (const each of numbers(3)) {
      a.publish(message('wanted/early', each))
      await until(() => inbox.received.includes(each))
    }
    for (const watcher of a.membership.watchers) watcher.left?.('b')
    for (const watcher of a.membership.watchers) watcher.joined?.('b')
    expect(await a.bus.ask('b', { kind: 'caught-up' }, 1_000)).toBe(true)
    await until(() => a.publish(message('wanted/late', 'late')) === 1)
    await until(() => inbox.received.includes('late'))
    expect(inbox.received).toEqual(['0', '1', '2', 'late'])
    // What was published meanwhile was not sent.
    expect(b.missedFrom).toEqual(['a'])
  })

  it('begins to count anew for a sender under another name', async () => {
    const { a, b, inbox } = await two()
    a.publish(message('wanted/1', 'before'))
    await until(() => inbox.received.length === 1)
    await cluster.replace(a.membership, 'a2')
    await a.bus.introduced()
    a.publish(message('wanted/1', 'after'))
    await until(() => inbox.received.length === 2)
    expect(inbox.received).toEqual(['before', 'after'])
    expect(b.missedFrom).toEqual([])
    expect(redis.keys.some((key) => key.includes('{bus:a}'))).toBe(false)
  })

  it('fails what waits when this node is expelled, and finds it wanted under its new name', async () => {
    const { a, b, inbox } = await two()
    redis.fate = (name) => (name === 'xadd' ? 'lost' : 'answered')
    b.publish(message('nobody'))
    const other = new Inbox('y')
    a.subscribe(other, 'back')
    const settled = b.interest.settled(true)
    await until(() => a.events.failing > 0)
    redis.fate = () => 'answered'
    await cluster.replace(b.membership, 'b2')
    await settled
    await b.bus.introduced()
    a.publish(message('wanted/1'))
    b.publish(message('back'))
    await until(() => inbox.received.length === 1 && other.received.length === 1)
  })

  it('tells the error to whoever waits for a bus that ends', async () => {
    const { a } = await two()
    redis.fate = (name) => (name === 'xadd' ? 'lost' : 'answered')
    a.publish(message('wanted/1', 'x', { qos: 1 }))
    const written = writtenOf(a)
    await cluster.replace(a.membership, 'a2')
    expect((await written)?.code).toBe('STORE_CLOSED')
  })

  it('removes everything when all have stopped', async () => {
    await two()
    for (const { bus, membership } of nodes) {
      cluster.leave(membership.self)
      await bus.stop()
    }
    await until(() => redis.keys.length === 0)
  })
})

describe('interest', () => {
  it('is told when the first one wants a filter and when the last one does not', async () => {
    const { a, b } = await two()
    const second = new Inbox('y')
    b.subscribe(second, 'wanted/#')
    await b.interest.settled(true)
    expect(a.router.subscriptionCount).toBe(0)
    b.router.remove(second)
    await b.interest.settled(true)
    expect(a.publish(message('wanted/1'))).toBe(1)
    b.router.unsubscribe(second, 'wanted/#', undefined)
    b.subscribe(second, 'passing')
    b.router.remove(second)
    const { written } = b.events
    await b.interest.settled(true)
    expect(b.events.written).toBe(written + 1)
    expect(a.publish(message('passing'))).toBe(0)
  })

  it('follows durable sessions while they are connected here', async () => {
    const { a, b } = await two()
    const durable = new Inbox('d', true)
    b.subscribe(durable, 'durable')
    b.subscribe(durable, 'jobs', { share: 'g' })
    await b.interest.settled(true)
    expect(a.publish(message('durable'))).toBe(0)
    b.router.arrived(durable)
    b.router.arrived(durable)
    await b.interest.settled(true)
    expect(a.publish(message('durable'))).toBe(1)
    // Every node knows the durable members of a group itself.
    expect(a.publish(message('jobs'))).toBe(0)
    b.router.departed(durable)
    b.router.departed(durable)
    await b.interest.settled(true)
    expect(a.publish(message('durable'))).toBe(0)
  })

  it('is read anew when a change was missed', async () => {
    const { a, b } = await two()
    holdReads()
    b.subscribe(new Inbox('2'), 'missed')
    b.subscribe(new Inbox('3'), 'jobs', { share: 'g' })
    await writtenSoon(b)
    const stream = redis.streams.get(streamOf('a'))
    if (stream !== undefined) stream.entries = []
    b.subscribe(new Inbox('4'), 'later')
    await writtenSoon(b)
    redis.fate = () => 'answered'
    await until(() => a.missedFrom.length > 0)
    await b.interest.settled(true)
    expect(a.missedFrom).toEqual(['b'])
    for (const topic of ['missed', 'jobs', 'later', 'wanted/1']) expect(a.publish(message(topic))).toBe(1)
  })

  it('is settled after a second at the latest', async () => {
    const a = await join('a')
    const clock = new ManualClock()
    const b = await join('b', { clock })
    a.whenAsked = () => new Promise(() => {})
    let settled = false
    const settling = b.interest.settled(true).then(() => (settled = true))
    await until(() => a.questions.length > 1)
    clock.advance(999)
    await new Promise((resolve) => setImmediate(resolve))
    expect(settled).toBe(false)
    clock.advance(1)
    await settling
  })

  it('waits for a node that does not answer until it leaves, when it has to be sure', async () => {
    const clock = new ManualClock()
    const a = await join('a')
    const b = await join('b', { clock })
    a.whenAsked = () => new Promise(() => {})
    const asked = a.questions.length
    let settled = false
    const settling = b.interest.settled(false).then(() => (settled = true))
    await until(() => a.questions.length > asked)
    clock.advance(60_000)
    await new Promise((resolve) => setImmediate(resolve))
    expect(settled).toBe(false)
    cluster.leave('a')
    await settling
  })

  it('settles all of a turn with one question', async () => {
    const { a, b } = await two()
    const asked = a.questions.length
    await Promise.all([b.interest.settled(true), b.interest.settled(true), b.interest.settled(false)])
    expect(a.questions.length).toBe(asked + 1)
  })

  it('reaches a node that begins while others subscribe', async () => {
    const { b } = await two()
    const inbox = new Inbox('z')
    const late = new TestNode(cluster.join('late'), redis)
    nodes.push(late)
    b.subscribe(inbox, 'in/between')
    await late.bus.start()
    await late.bus.introduced()
    expect(late.publish(message('in/between'))).toBe(1)
    await until(() => inbox.received.length === 1)
  })
})

describe('share groups', () => {
  it('are balanced over the members of all nodes', async () => {
    const { a, b } = await two()
    const members = [new Inbox('1'), new Inbox('2'), new Inbox('3'), new Inbox('4')]
    for (const [i, member] of members.entries()) (i === 0 ? a : b).subscribe(member, 'jobs', { share: 'g' })
    await b.interest.settled(true)
    for (let i = 0; i < 400; i++) expect(a.publish(message('jobs'))).toBe(1)
    await until(() => members.reduce((sum, { received }) => sum + received.length, 0) === 400)
    expect(members.map(({ received }) => received.length)).toEqual([100, 100, 100, 100])
    for (const member of members.slice(2)) b.router.remove(member)
    await b.interest.settled(true)
    for (let i = 0; i < 100; i++) a.publish(message('jobs'))
    await until(() => members.reduce((sum, { received }) => sum + received.length, 0) === 500)
    expect(members.map(({ received }) => received.length)).toEqual([150, 150, 100, 100])
  })

  it('are rerouted to another node when nobody is left here', async () => {
    const { a, b } = await two()
    const [here, there] = [new Inbox('1'), new Inbox('2')]
    a.subscribe(here, 'jobs', { share: 'g' })
    b.subscribe(there, 'jobs', { share: 'g' })
    await b.interest.settled(true)
    const unsettled = message('jobs', 'unsettled', { qos: 1 })
    const target = a.router.reroute(unsettled, '$share/g/jobs', here)
    target?.subscriber.deliver(unsettled, target.delivery, undefined)
    await until(() => there.received.length === 1)
  })

  it('give a durable member what the node counted on somebody else for', async () => {
    const { b } = await two()
    const durable = new Inbox('d', true)
    b.subscribe(durable, 'jobs', { share: 'g' })
    const job = message('jobs', 'job', { qos: 1 })
    expect(b.router.shareHere(job, '$share/g/jobs')?.subscriber).toBe(durable)
    const volatile = new Inbox('v')
    b.subscribe(volatile, 'jobs', { share: 'g' })
    expect(b.router.shareHere(job, '$share/g/jobs')?.subscriber).toBe(volatile)
    expect(b.router.shareHere(job, '$share/other/jobs')).toBeUndefined()
  })
})

describe('questions', () => {
  it('wait for the answer, and for no longer than they may', async () => {
    const { a, b } = await two()
    const question = { kind: 'takeover', clientId: 'x', epoch: 2, sessionEnds: false } as const
    expect(await a.bus.ask('b', question, 10_000)).toBe(true)
    expect(b.questions.at(-1)).toEqual(question)
    b.whenAsked = () => new Promise(() => {})
    expect(await a.bus.ask('b', question, 5)).toBe(false)
    expect(await a.bus.ask('a', question, 5)).toBe(false)
    expect(await a.bus.ask('stranger', question, 5)).toBe(false)
  })

  it('are not answered when the listener fails', async () => {
    const { a, b } = await two()
    b.whenAsked = () => Promise.reject(new Error('cannot'))
    expect(await a.bus.ask('b', { kind: 'caught-up' }, 20)).toBe(false)
    expect(b.defects.splice(0).length).toBe(1)
  })

  it('are not answered while the store is away, which is no defect', async () => {
    const { a, b } = await two()
    b.whenAsked = () => Promise.reject(new GatewayError('STORE_UNWRITABLE', 'Redis is away.'))
    expect(await a.bus.ask('b', { kind: 'caught-up' }, 20)).toBe(false)
    expect(b.defects).toEqual([])
  })
})

/** Resolves when what was changed in this turn is in Redis. */
async function writtenSoon(node: TestNode): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
  await writtenOf(node)
}
