import { Message, type PublishProperties, type QoS, type UserProperties } from '../../contract/message.js'
import type { Store, StoredSession } from '../../contract/store.js'
import type { Subscription } from '../../contract/subscription.js'
import { filterMatches, parseFilter, topicNameFault } from '../../contract/topic.js'
import type { RedisClient } from './connection.js'
import { NotPacked, textOf, unpack, type Unpacked } from './message-pack.js'
import { mastersOf } from './suitability.js'

export interface MigrationOptions {
  /** Counts what there is and writes nothing. */
  readonly dryRun: boolean
  /** Sessions that the target has are discarded first; else they are left as they are. */
  readonly replace: boolean
  /** Session expiry of all sessions, seconds; 0xFFFFFFFF: never. */
  readonly expiryInterval: number
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Something cannot be read or taken over: it is left out. */
  readonly onLeftOut: (what: string, name: string, reason: string) => void
  /** Sessions, retained messages and wills so far. */
  readonly onProgress: (done: number) => void
}

export interface MigrationReport {
  sessions: number
  subscriptions: number
  queued: number
  /** QoS 2 publishes of clients that wait for their PUBREL. */
  incoming: number
  /** QoS 2 deliveries that the receiver has: only PUBREL was owed. */
  released: number
  retained: number
  wills: number
  /** Sessions that the target had already. */
  present: number
  leftOut: number
}

const PAGE = 500
/** Sessions that are taken over side by side. */
const PARALLEL = 32
/** What Aedes takes as a topic, and the gateway as its ceiling. */
const TOPICS = { maxLevels: 100, maxBytes: 65_535 }

/**
 * Takes over what aedes-persistence-redis (8 to 12) keeps: subscriptions, queues, retained messages, wills, QoS 2
 * identifiers. Reads only; the brokers that wrote it have to be stopped.
 */
export async function migrateAedes(
  source: RedisClient,
  target: Store,
  options: MigrationOptions,
): Promise<MigrationReport> {
  return new Migration(source, target, options).run()
}

type Fields = ReadonlyMap<string, Unpacked>

class Migration {
  private readonly report: MigrationReport = {
    sessions: 0,
    subscriptions: 0,
    queued: 0,
    incoming: 0,
    released: 0,
    retained: 0,
    wills: 0,
    present: 0,
    leftOut: 0,
  }

  constructor(
    private readonly source: RedisClient,
    private readonly target: Store,
    private readonly options: MigrationOptions,
  ) {}

  async run(): Promise<MigrationReport> {
    await this.retained()
    await this.sessions()
    await this.wills()
    return this.report
  }

  private async sessions(): Promise<void> {
    let cursor = '0'
    const seen = new Set<string>()
    do {
      const [next, ids] = await this.source.sscan('clients', cursor, 'COUNT', PAGE)
      cursor = next
      const fresh = ids.filter((id) => !seen.has(id))
      for (const id of fresh) seen.add(id)
      for (let i = 0; i < fresh.length; i += PARALLEL)
        await Promise.all(fresh.slice(i, i + PARALLEL).map((id) => this.session(id)))
    } while (cursor !== '0')
  }

  private async session(clientId: string): Promise<void> {
    const name = encodeURIComponent(clientId)
    const subscriptions = await this.subscriptions(clientId, `client:${name}`)
    const queue = await this.queue(clientId, `outgoing:${name}`)
    const incoming = (await this.source.hkeys(`incoming:${name}`)).map(Number)
    const { dryRun, replace, expiryInterval } = this.options
    if (!dryRun) {
      const options = { cleanStart: replace, expiryInterval }
      const session = await this.target.openSession(clientId, options)
      if (session.present) {
        this.report.present++
        return
      }
      await this.write(session, subscriptions, queue, incoming)
    }
    this.report.sessions++
    this.report.subscriptions += subscriptions.length
    this.report.queued += queue.length
    this.report.incoming += incoming.length
    this.progress()
  }

  private async write(
    session: StoredSession,
    subscriptions: readonly Subscription[],
    queue: readonly Message[],
    incoming: readonly number[],
  ): Promise<void> {
    await Promise.all(queue.map((message) => enqueue(session, message, subscriptions)))
    await Promise.all(incoming.map((packetId) => this.occupy(session, packetId)))
    if (subscriptions.length > 0) await session.subscribe(subscriptions)
    const { now, expiryInterval } = this.options
    await session.close(expiryInterval === 0xffff_ffff ? undefined : now + expiryInterval * 1_000)
  }

  /** The message was published when it came; what counts of it is that its identifier is taken. */
  private occupy(session: StoredSession, packetId: number): Promise<void> {
    const message = new Message({
      topic: '-',
      payload: Buffer.alloc(0),
      qos: 2,
      retain: false,
      receivedAt: this.options.now,
    })
    return this.accept({ message, recipients: [], retain: false, incoming: { session, packetId } })
  }

  private async subscriptions(clientId: string, key: string): Promise<readonly Subscription[]> {
    const found: Subscription[] = []
    const fields = await this.source.hgetallBuffer(key)
    for (const [text, value] of Object.entries(fields)) {
      const parsed = parseFilter(text, TOPICS)
      if (typeof parsed === 'string') {
        this.leaveOut('subscription', `${clientId} ${text}`, parsed)
        continue
      }
      // Version 8 wrote the QoS as one character.
      const values =
        value.length === 1 ? new Map([['qos', Number(value.toString())]]) : this.unpacked(key, value)
      if (values === undefined) continue
      found.push({
        filter: parsed.filter,
        share: parsed.share,
        qos: qosOf(values.get('qos')),
        noLocal: values.get('nl') === true,
        retainAsPublished: values.get('rap') === true,
        retainHandling: handlingOf(values.get('rh')),
        identifier: undefined,
      })
    }
    return found
  }

  private async queue(clientId: string, key: string): Promise<readonly Message[]> {
    const messages: Message[] = []
    for (let from = 0; ; from += PAGE) {
      const names = await this.source.lrange(key, from, from + PAGE - 1)
      const values = await Promise.all(names.map((name) => this.source.getBuffer(name)))
      for (const [i, value] of values.entries()) {
        const name = names[i] ?? ''
        // Expired there (`packetTTL`), or one of the entries that QoS 2 leaves behind.
        if (value === null) this.leaveOut('queued message', `${clientId} ${name}`, 'its body is missing')
        else {
          const fields = this.unpacked(name, value)
          if (fields === undefined) continue
          if (textOf(fields.get('cmd')) === 'pubrel') this.report.released++
          else this.take(messages, name, fields)
        }
      }
      if (names.length < PAGE) return messages
    }
  }

  private take(messages: Message[], name: string, fields: Fields): void {
    const message = this.message(name, fields)
    if (message !== undefined) messages.push(message)
  }

  private async retained(): Promise<void> {
    let cursor = '0'
    do {
      const page = (await this.source.callBuffer('hscan', 'retained', cursor, 'COUNT', PAGE)) as [
        Buffer,
        Buffer[],
      ]
      cursor = page[0].toString()
      for (let i = 0; i + 1 < page[1].length; i += 2) await this.retain(textOf(page[1][i]), page[1][i + 1])
    } while (cursor !== '0')
    // In Cluster mode each has a key of its own.
    if (!('nodes' in this.source)) return
    for (const master of mastersOf(this.source))
      for (let next = '', first = true; first || next !== '0'; first = false) {
        const [after, keys] = await master.scan(first ? '0' : next, 'MATCH', 'retained:*', 'COUNT', PAGE)
        next = after
        for (const key of keys) await this.retain(key, (await this.source.getBuffer(key)) ?? undefined)
      }
  }

  private async retain(name: string, value: Buffer | undefined): Promise<void> {
    const fields = value === undefined ? undefined : this.unpacked(name, value)
    const message = fields === undefined ? undefined : this.message(name, fields, true)
    if (message === undefined || message.payload.length === 0) return
    if (!this.options.dryRun)
      await this.accept({ message, recipients: [], retain: true, incoming: undefined })
    this.report.retained++
    this.progress()
  }

  private async wills(): Promise<void> {
    for (const key of new Set(await this.source.lrange('will', 0, -1))) {
      const value = await this.source.getBuffer(key)
      const fields = value === null ? undefined : this.unpacked(key, value)
      const clientId = textOf(fields?.get('clientId'))
      const message = fields === undefined ? undefined : this.message(key, fields)
      if (message === undefined) continue
      if (!this.options.dryRun)
        await this.target.putWill(clientId, { message, delayInterval: 0, dueAt: undefined })
      this.report.wills++
      this.progress()
    }
  }

  private message(name: string, fields: Fields, retain = fields.get('retain') === true): Message | undefined {
    const topic = textOf(fields.get('topic'))
    const fault = topicNameFault(topic, TOPICS)
    if (fault !== undefined) {
      this.leaveOut('message', name, fault)
      return undefined
    }
    const payload = fields.get('payload')
    const publisherId = textOf(fields.get('clientId'))
    const expiresAt = fields.get('messageExpiry')
    return new Message({
      topic,
      payload: Buffer.isBuffer(payload) ? Buffer.from(payload) : Buffer.alloc(0),
      qos: qosOf(fields.get('qos')),
      retain,
      properties: propertiesOf(fields.get('properties')),
      publisherId: publisherId === '' ? undefined : publisherId,
      receivedAt: this.options.now,
      expiresAt: typeof expiresAt === 'number' ? expiresAt : undefined,
    })
  }

  private unpacked(name: string, value: Buffer): Fields | undefined {
    try {
      const fields = unpack(value)
      if (fields instanceof Map) return fields as Fields
      this.leaveOut('value', name, 'it holds no fields')
    } catch (error) {
      if (!(error instanceof NotPacked)) throw error
      this.leaveOut('value', name, error.message)
    }
    return undefined
  }

  private accept(accept: Parameters<Store['accept']>[0]): Promise<void> {
    return new Promise((resolve, reject) =>
      this.target.accept(accept, (error) => {
        if (error === undefined) resolve()
        else reject(error)
      }),
    )
  }

  private leaveOut(what: string, name: string, reason: string): void {
    this.report.leftOut++
    this.options.onLeftOut(what, name, reason)
  }

  private progress(): void {
    const { sessions, retained, wills } = this.report
    this.options.onProgress(sessions + retained + wills)
  }
}

function enqueue(
  session: StoredSession,
  message: Message,
  subscriptions: readonly Subscription[],
): Promise<void> {
  const granted = subscriptions
    .filter(({ filter }) => filterMatches(filter, message.topic))
    .map(({ qos }) => qos)
  const qos = granted.length === 0 ? message.qos : (Math.min(message.qos, Math.max(...granted)) as QoS)
  const delivery = { qos, retain: false, identifiers: [], sharedFilter: undefined }
  return new Promise((resolve, reject) =>
    session.enqueue(message, delivery, (error) => {
      if (error === undefined) resolve()
      else reject(error)
    }),
  )
}

function qosOf(value: Unpacked | undefined): QoS {
  return value === 1 || value === 2 ? value : 0
}

function handlingOf(value: Unpacked | undefined): Subscription['retainHandling'] {
  return value === 1 || value === 2 ? value : 0
}

/** As mqtt-packet names them. */
function propertiesOf(value: Unpacked | undefined): PublishProperties | undefined {
  if (!(value instanceof Map)) return undefined
  const fields = value as Fields
  const format = fields.get('payloadFormatIndicator')
  const contentType = fields.get('contentType')
  const responseTopic = fields.get('responseTopic')
  const correlationData = fields.get('correlationData')
  const userProperties = fields.get('userProperties')
  return {
    ...(format !== undefined && { payloadFormat: format === true ? 1 : 0 }),
    ...(Buffer.isBuffer(contentType) && { contentType: contentType.toString() }),
    ...(Buffer.isBuffer(responseTopic) && { responseTopic: responseTopic.toString() }),
    ...(Buffer.isBuffer(correlationData) && { correlationData: Buffer.from(correlationData) }),
    ...(userProperties instanceof Map && { userProperties: pairsOf(userProperties as Fields) }),
  }
}

function pairsOf(fields: Fields): UserProperties {
  return [...fields].flatMap(([name, value]) =>
    (Array.isArray(value) ? (value as readonly Unpacked[]) : [value]).map(
      (each) => [name, textOf(each)] as const,
    ),
  )
}
