import { ManualClock } from '../../contract/testing/manual-clock.js'
import type { Clock } from '../../contract/clock.js'
import { GatewayError } from '../../contract/errors.js'
import type { StoreEvents } from '../../contract/events.js'
import { Message, type MessageFields } from '../../contract/message.js'
import type {
  Accept,
  QueueEntry,
  SessionRecord,
  Store,
  StoredSession,
  StoreLimits,
} from '../../contract/store.js'
import type { Delivery, Subscription } from '../../contract/subscription.js'

/** A kind of store, as its test file describes it to the conformance suite. */
export interface StoreUnderTest {
  readonly name: string
  /** Whether what was written is there after `close` and `open` on a new object. */
  readonly survivesReopen: boolean
  /** A store over the same data each time it is called within a test, and over fresh data in the next. */
  create(limits: StoreLimits, events: StoreEvents, clock: Clock): Store
  /** Forgets the data of the test. */
  reset(): Promise<void>
}

/** One store under test, with its clock and events, and fresh for each test. */
export class Bench {
  clock = new ManualClock(1_800_000_000_000)
  events = new RecordedEvents()
  store: Store

  constructor(private readonly subject: StoreUnderTest) {
    this.store = this.make()
  }

  /** A further store over the data of the test. */
  make(limits: Partial<StoreLimits> = {}): Store {
    return this.subject.create({ ...roomy, ...limits }, this.events, this.clock)
  }

  async start(limits: Partial<StoreLimits> = {}): Promise<void> {
    this.clock = new ManualClock(1_800_000_000_000)
    this.events = new RecordedEvents()
    this.store = this.make(limits)
    await this.store.open()
  }

  async stop(): Promise<void> {
    await this.store.close()
    await this.subject.reset()
  }

  /** Begins again with other limits; what has been recorded until then is forgotten. */
  async useLimits(limits: Partial<StoreLimits>): Promise<void> {
    await this.stop()
    await this.start(limits)
    this.events.lines.length = 0
  }

  async reopen(limits: Partial<StoreLimits> = {}): Promise<void> {
    await this.store.close()
    this.store = this.make(limits)
    await this.store.open()
  }
}

export const roomy: StoreLimits = {
  queuedMessages: 1_000,
  queuedBytes: 1_000_000,
  whenFull: 'drop-oldest',
  retainedMessages: 10_000,
  retainedBytes: 10_000_000,
}

export const NEVER = 0xffff_ffff
export const keep = { cleanStart: false, expiryInterval: NEVER } as const
export const plain: Delivery = { qos: 1, retain: false, identifiers: [], sharedFilter: undefined }

/** Events as lines, for tests to look at. */
export class RecordedEvents implements StoreEvents {
  readonly lines: string[] = []
  /** What a store says of its surroundings; no line, for it depends on the machine. */
  readonly risks: string[] = []
  /** Committed so far. */
  operations = 0
  opened(kind: string, { sessions, retained }: { sessions: number; retained: number }): void {
    this.lines.push(`opened ${kind} ${sessions} ${retained}`)
  }
  writeFailed(error: Error): void {
    this.lines.push(`writeFailed ${error instanceof GatewayError ? error.code : error.message}`)
  }
  writesRecovered(): void {
    this.lines.push('writesRecovered')
  }
  risk(description: string): void {
    this.risks.push(description)
  }
  entryDamaged(what: string): void {
    this.lines.push(`entryDamaged ${what}`)
  }
  queueDropped(clientId: string, policy: string, count: number): void {
    this.lines.push(`queueDropped ${clientId} ${policy} ${count}`)
  }
  messagesExpired(clientId: string, count: number): void {
    this.lines.push(`messagesExpired ${clientId} ${count}`)
  }
  committed(operations: number): void {
    this.operations += operations
  }
}

export function message(fields: Partial<MessageFields> & { text?: string } = {}): Message {
  return new Message({
    topic: 't',
    qos: 1,
    retain: false,
    receivedAt: 1_800_000_000_000,
    payload: Buffer.from(fields.text ?? 'x'),
    ...fields,
  })
}

export function subscription(filter: string, fields: Partial<Subscription> = {}): Subscription {
  return {
    filter,
    share: undefined,
    qos: 1,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
    identifier: undefined,
    ...fields,
  }
}

export type Outcome = {
  readonly error: string | undefined
  readonly sequences: readonly (number | undefined)[]
  /** Only where somebody else has the session of a recipient open. */
  readonly owners?: readonly (string | undefined)[]
}

export function accept(store: Store, accepted: Partial<Accept> & { message: Message }): Promise<Outcome> {
  const full = { recipients: [], retain: false, incoming: undefined, ...accepted }
  return new Promise((resolve) =>
    store.accept(full, (error, sequences, owners) =>
      resolve({ error: error?.code, sequences, ...(owners !== undefined && { owners }) }),
    ),
  )
}

export function to(...clientIds: string[]): Accept['recipients'] {
  return clientIds.map((clientId) => ({ clientId, delivery: plain }))
}

export function settle(session: StoredSession, sequence: number): Promise<string | undefined> {
  return new Promise((resolve) => session.settle(sequence, (error) => resolve(error?.code)))
}

export function release(session: StoredSession, sequence: number): Promise<string | undefined> {
  return new Promise((resolve) => session.release(sequence, (error) => resolve(error?.code)))
}

export function forget(session: StoredSession, packetId: number): Promise<string | undefined> {
  return new Promise((resolve) => session.forgetIncoming(packetId, (error) => resolve(error?.code)))
}

export function enqueue(session: StoredSession, queued: Message, delivery = plain): Promise<Outcome> {
  return new Promise((resolve) =>
    session.enqueue(queued, delivery, (error, sequence) =>
      resolve({ error: error?.code, sequences: [sequence] }),
    ),
  )
}

export function readAll(session: StoredSession, after = 0): Promise<readonly QueueEntry[]> {
  return session.read(after, { messages: 100_000, bytes: Infinity })
}

/** `1:one 2:two`; a released entry is `3:`. */
export async function queueText(session: StoredSession): Promise<string> {
  const entries = await readAll(session)
  return entries
    .map(({ sequence, message: queued }) => `${sequence}:${queued?.payload.toString() ?? ''}`)
    .join(' ')
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

export async function retainedText(store: Store, filter: string): Promise<string[]> {
  const chunks = await collect(store.retained(filter))
  return chunks
    .flat()
    .map((retained) => `${retained.topic}=${retained.payload.toString()}`)
    .sort()
}

export const codeOf = (promise: Promise<unknown>): Promise<string | undefined> =>
  promise.then(
    () => undefined,
    (error: unknown) => (error instanceof GatewayError ? error.code : String(error)),
  )

/** Client identifiers that trip over prototypes, separators, terminators and prefixes. */
export const ODD_IDS = ['constructor', '__proto__', 'a\0b', 'a', 'a\0', 'ab', '😀', ' ', 'x'.repeat(65_535)]

export function filtersOf(record: SessionRecord | undefined): string[] {
  return (record?.subscriptions ?? []).map(({ filter }) => filter).sort()
}

export function sorted(subscriptions: readonly Subscription[]): Subscription[] {
  const key = (s: Subscription): string => `${s.share ?? ''} ${s.filter}`
  return [...subscriptions].sort((a, b) => (key(a) < key(b) ? -1 : 1))
}

export function fullMessage(now: number): Message {
  return message({
    topic: 'ä/😀//constructor',
    payload: Buffer.from([...Array(256).keys()]),
    qos: 2,
    retain: true,
    publisherId: 'publisher\0',
    expiresAt: now + 60_000,
    properties: {
      payloadFormat: 1,
      contentType: 'text/plain',
      responseTopic: 'answer/me',
      correlationData: Buffer.from([0, 255, 10]),
      userProperties: [
        ['name', 'value'],
        ['name', ''],
        ['__proto__', 'x'],
      ],
    },
  })
}

export function fieldsOf({
  topic,
  payload,
  qos,
  retain,
  properties,
  publisherId,
  receivedAt,
  expiresAt,
}: Message): object {
  return {
    topic,
    payload: payload.toString('hex'),
    qos,
    retain,
    properties: { ...properties, correlationData: properties?.correlationData?.toString('hex') },
    publisherId,
    receivedAt,
    expiresAt,
  }
}

export function comparable({ message: m, ...rest }: { message: Message | undefined }): object {
  return { ...rest, ...(m === undefined ? {} : fieldsOf(m)) }
}
