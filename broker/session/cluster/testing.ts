import { vi } from 'vitest'
import type { NodeBus, NodeQuestion } from '../../contract/cluster.js'
import type { Router } from '../../contract/router.js'
import type { ClientClaim, SessionChangeListener, SessionRecord, SharedStore } from '../../contract/store.js'
import type { Subscription } from '../../contract/subscription.js'
import { SessionTable, type SessionClient } from '../session-table.js'

export function subscriptionOf(filter: string, share?: string): Subscription {
  return {
    filter,
    share,
    qos: 1,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
    identifier: undefined,
  }
}

/** The members of a shared store that sessions on many nodes use, under the control of a test. */
export class FakeSharedStore {
  readonly yielded: [clientId: string, epoch: number][] = []
  listener: SessionChangeListener | undefined
  records: SessionRecord[] = []
  /** What the next claim brings, beside its epoch. */
  claimed: Partial<ClientClaim> = {}
  /** Reading all sessions waits for this. */
  gate: Promise<void> = Promise.resolve()
  private epoch = 0

  follow(listener: SessionChangeListener): Promise<void> {
    this.listener = listener
    return Promise.resolve()
  }

  async *sessions(): AsyncGenerator<SessionRecord> {
    yield* this.records
    await this.gate
  }

  caughtUp(): Promise<void> {
    return Promise.resolve()
  }

  claim(clientId: string): Promise<ClientClaim> {
    const claim = { clientId, epoch: ++this.epoch, takenFrom: undefined, willOf: undefined, ...this.claimed }
    return Promise.resolve(claim)
  }

  yield(clientId: string, epoch: number): Promise<void> {
    this.yielded.push([clientId, epoch])
    return Promise.resolve()
  }

  get asStore(): SharedStore {
    return this as unknown as SharedStore
  }
}

/** Answers questions, or does not. */
export class FakeBus {
  readonly questions: NodeQuestion[] = []
  answers = true

  ask(_node: string, question: NodeQuestion): Promise<boolean> {
    this.questions.push(question)
    return Promise.resolve(this.answers)
  }

  get asBus(): NodeBus {
    return this as unknown as NodeBus
  }
}

/** Filters as clients write them, by client id: what the router has been told. */
export function fakeRouter() {
  const routed = new Map<string, Set<string>>()
  const of = (clientId: string): Set<string> => {
    const known = routed.get(clientId) ?? new Set()
    routed.set(clientId, known)
    return known
  }
  const text = (filter: string, share: string | undefined): string =>
    share === undefined ? filter : `$share/${share}/${filter}`
  const router: Partial<Router> = {
    subscribe: ({ clientId }, { filter, share }) => void of(clientId).add(text(filter, share)),
    unsubscribe: ({ clientId }, filter, share) => void of(clientId).delete(text(filter, share)),
    remove: ({ clientId }) => void routed.delete(clientId),
    arrived: vi.fn(),
    departed: vi.fn(),
  }
  const table = new SessionTable(router as Router, undefined, undefined)
  const known = (): Record<string, string[]> =>
    Object.fromEntries([...routed].map(([clientId, filters]) => [clientId, [...filters].sort()]))
  return { router: router as Router, table, known }
}

/** Somebody connected to a session of the table. */
export function connect(table: SessionTable, clientId: string): SessionClient {
  const session = table.find(clientId) ?? table.add(clientId, [])
  const client = { clientId, session } as unknown as SessionClient
  table.hold(client)
  return client
}
