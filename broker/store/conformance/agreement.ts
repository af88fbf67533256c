import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Store, StoredSession, StoreLimits } from '../../contract/store.js'
import { MemoryStore } from '../memory/memory-store.js'
import {
  accept,
  collect,
  forget,
  message,
  queueText,
  RecordedEvents,
  release,
  retainedText,
  roomy,
  settle,
  subscription,
  to,
  type Bench,
} from './bench.js'

const CLIENTS = ['a', 'b', '__proto__']
const TOPICS = ['r', 'r/s', '/', '$SYS/x', 'r/']

const client = fc.constantFrom(...CLIENTS)
const sequence = fc.integer({ min: 1, max: 12 })
const action = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('accept' as const),
      recipients: fc.subarray(CLIENTS),
      size: fc.integer({ min: 0, max: 14 }),
      retainOn: fc.option(fc.constantFrom(...TOPICS), { nil: undefined }),
      qos: fc.constantFrom(0, 1, 2),
      from: fc.option(client, { nil: undefined }),
      packetId: fc.integer({ min: 1, max: 4 }),
      lives: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('settle' as const), client, sequence }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('release' as const), client, sequence }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('open' as const), client, cleanStart: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('discard' as const), client }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const), client, packetId: sequence }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('subscribe' as const, 'unsubscribe' as const),
      client,
      topic: fc.constantFrom(...TOPICS),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
)
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never

/** A store with the handles that a node would hold on it. */
class Side {
  readonly handles = new Map<string, StoredSession>()

  constructor(public store: Store) {}

  async open(clientId: string, cleanStart: boolean): Promise<boolean> {
    const session = await this.store.openSession(clientId, { cleanStart, expiryInterval: 60 })
    this.handles.set(clientId, session)
    return session.present
  }

  /** What came of it, in a form that can be compared. */
  async perform(taken: Action, now: number, number: number): Promise<unknown> {
    switch (taken.do) {
      case 'accept': {
        const { recipients, size, retainOn, qos, from, packetId, lives } = taken
        const session = from === undefined ? undefined : this.handles.get(from)
        return accept(this.store, {
          message: message({
            text: String(number).padEnd(size, '.').slice(0, size),
            topic: retainOn ?? 't',
            qos,
            // Retained ones do not expire here: when a store looks for expired ones is its own affair.
            expiresAt: lives === undefined || retainOn !== undefined ? undefined : now + lives,
          }),
          recipients: qos === 0 ? [] : to(...recipients),
          retain: retainOn !== undefined,
          incoming: session && { session, packetId },
        })
      }
      case 'settle':
        return this.on(taken.client, (session) => settle(session, taken.sequence))
      case 'release':
        return this.on(taken.client, (session) => release(session, taken.sequence))
      case 'forget':
        return this.on(taken.client, (session) => forget(session, taken.packetId))
      case 'subscribe':
        return this.on(taken.client, (session) => failure(session.subscribe([subscription(taken.topic)])))
      case 'unsubscribe':
        return this.on(taken.client, (session) => failure(session.unsubscribe([subscription(taken.topic)])))
      case 'open':
        return this.open(taken.client, taken.cleanStart)
      case 'discard':
        return this.store.discardSession(taken.client)
      case 'wait':
      case 'reopen':
        return undefined
    }
  }

  /** All that can be seen. */
  async state(): Promise<unknown> {
    const sessions = []
    for (const [clientId, session] of this.handles)
      sessions.push({
        clientId,
        queue: await queueText(session),
        queued: session.queued,
        incoming: [...session.incoming].sort(),
        subscriptions: session.subscriptions.map(({ filter }) => filter).sort(),
      })
    const records = await collect(this.store.sessions())
    return {
      sessions,
      records: records.map(({ clientId, subscriptions }) => `${clientId} ${subscriptions.length}`).sort(),
      retained: [await retainedText(this.store, '#'), await retainedText(this.store, '$SYS/#')],
      retainedCount: this.store.retainedCount,
    }
  }

  private on(clientId: string, task: (session: StoredSession) => Promise<unknown>): Promise<unknown> {
    const session = this.handles.get(clientId)
    return session === undefined ? Promise.resolve('not open') : task(session)
  }
}

const failure = (promise: Promise<void>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: unknown) => String(error),
  )

/** The memory store is the model: whatever is done, another store does the same. */
export function agreementStatements(bench: Bench, survivesReopen: boolean): void {
  describe('whatever happens', () => {
    it.each(['drop-oldest', 'refuse-new'] as const)(
      'it does what the memory store does (%s)',
      async (whenFull) => {
        const limits: StoreLimits = {
          ...roomy,
          whenFull,
          queuedMessages: 4,
          queuedBytes: 40,
          retainedMessages: 3,
          retainedBytes: 30,
        }
        const property = fc.asyncProperty(
          fc.array(action, { maxLength: 40 }),
          fc.integer({ min: 1, max: 5 }),
          async (actions, together) => {
            await bench.useLimits(limits)
            const model = new Side(new MemoryStore(limits, new RecordedEvents(), bench.clock))
            await model.store.open()
            const subject = new Side(bench.store)
            const sides = [model, subject]
            for (const clientId of CLIENTS.slice(1))
              for (const side of sides) await side.open(clientId, false)
            // Several at a time, as the ticks of the event loop bring them.
            for (let i = 0; i < actions.length; i += together) {
              const group = actions.slice(i, i + together)
              const [expected, found] = await Promise.all(
                sides.map((side) =>
                  Promise.all(
                    oneOpenEach(group).map((taken, k) => side.perform(taken, bench.clock.now(), i + k)),
                  ),
                ),
              )
              expect(found).toEqual(expected)
              if (group.some((taken) => taken.do === 'wait')) bench.clock.advance(1)
              if (survivesReopen && group.some((taken) => taken.do === 'reopen')) {
                await bench.reopen(limits)
                subject.store = bench.store
                for (const side of sides)
                  for (const clientId of [...side.handles.keys()]) await side.open(clientId, false)
              }
              expect(await subject.state()).toEqual(await model.state())
            }
          },
        )
        // SEED=... searches elsewhere; a failure prints its seed.
        await fc.assert(property, { numRuns: 60, seed: Number(process.env['SEED'] ?? 20_261_121) })
      },
    )
  })
}

/** Calls that open or discard a session do not overlap with others for its client: that is the caller's duty. */
function oneOpenEach(group: readonly Action[]): readonly Action[] {
  const [first, ...rest] = group
  const alone = (taken: Action): boolean => taken.do === 'open' || taken.do === 'discard'
  if (first === undefined || alone(first)) return group.slice(0, 1)
  return [first, ...rest.filter((taken) => !alone(taken))]
}
