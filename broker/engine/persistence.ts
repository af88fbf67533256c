import { Readable } from 'node:stream'
import { systemClock, type Clock } from '../contract/clock.js'
import type { Accept, QueueEntry, Store, StoredSession } from '../contract/store.js'
import type { Subscription } from '../contract/subscription.js'
import { filterMatches, formatFilter, hasWildcard } from '../contract/topic.js'
import { fromPacketSubscription, toPacketSubscription } from './packets.js'
import { queuedPacket, storedMessage, storedPacket, type AedesPacket } from './stored-packet.js'

interface Named {
  readonly id: string
}
type Release = { readonly cmd: 'pubrel'; readonly messageId: number | undefined }
type AedesSubscription = Parameters<typeof fromPacketSubscription>[0] & {
  readonly subscriptionIdentifier?: number
}
type PacketSubscription = ReturnType<typeof toPacketSubscription> & { subscriptionIdentifier?: number }

const KEPT_FOR_EVER = 0xffff_ffff
const PAGE = { messages: 256, bytes: 1_048_576 }

/**
 * Any `Store` as the persistence of an Aedes broker (aedes-persistence 11), whole. In the gateway's pipeline the
 * steps that a message takes are replaced (`Pipeline.takeOver`); the rest is there for programs that embed the
 * gateway and look through `broker.persistence`, and for an Aedes with connections of its own.
 *
 * Looking changes nothing. What writes to a session opens it, and by that takes it from a connection of the
 * gateway: a client belongs to the gateway's sessions or to Aedes, not to both.
 *
 * Nothing is indexed here: what asks for the subscriptions of all sessions reads them all. Of a session that Aedes
 * uses, the packet identifiers of outgoing messages and the bodies of incoming QoS 2 ones live as long as this
 * object; the store keeps the messages and which identifiers are taken.
 */
export class StorePersistence {
  private owner: Named | undefined
  private destroyed = false
  private readonly handles = new Map<string, Promise<AedesSession>>()

  constructor(
    private readonly store: Store,
    private readonly clock: Clock = systemClock,
  ) {}

  /** The broker that this is the persistence of. */
  get broker(): Named {
    if (this.owner === undefined) throw new Error('the persistence has not been set up')
    return this.owner
  }

  /** Aedes insists on a function that is literally `async`. */
  async setup(broker: Named): Promise<void> {
    await this.belongTo(broker)
  }

  storeRetained(packet: AedesPacket): Promise<void> {
    return this.accept({ message: storedMessage(packet, this.clock), retain: true })
  }

  createRetainedStream(filter: string): Readable {
    return this.createRetainedStreamCombi([filter])
  }

  createRetainedStreamCombi(filters: readonly string[]): Readable {
    return Readable.from(this.retained(filters))
  }

  async addSubscriptions(client: Named, requested: readonly AedesSubscription[]): Promise<void> {
    const { stored } = await this.session(client)
    await stored.subscribe(
      requested.map((subscription) =>
        fromPacketSubscription(subscription, subscription.subscriptionIdentifier),
      ),
    )
  }

  async removeSubscriptions(client: Named, filters: readonly string[]): Promise<void> {
    const { stored } = await this.session(client)
    await stored.unsubscribe(filters.map((topic) => fromPacketSubscription({ topic, qos: 0 }, undefined)))
  }

  async cleanSubscriptions(client: Named): Promise<void> {
    const { stored } = await this.session(client)
    await stored.unsubscribe(stored.subscriptions)
  }

  async subscriptionsByClient(client: Named): Promise<PacketSubscription[]> {
    for await (const { clientId, subscriptions } of this.store.sessions())
      if (clientId === client.id) return subscriptions.map(withIdentifier)
    return []
  }

  /** QoS 1 and 2 subscriptions that match a topic; those with wildcards first, as Aedes knows it. */
  async subscriptionsByTopic(topic: string): Promise<(PacketSubscription & { clientId: string })[]> {
    const found: (PacketSubscription & { clientId: string })[] = []
    for await (const { clientId, subscriptions } of this.store.sessions())
      for (const subscription of subscriptions)
        if (subscription.qos > 0 && filterMatches(subscription.filter, topic))
          found.push({ clientId, ...toPacketSubscription(subscription) })
    return found.sort((a, b) => Number(hasWildcard(b.topic)) - Number(hasWildcard(a.topic)))
  }

  async countOffline(): Promise<{ subsCount: number; clientsCount: number }> {
    let subsCount = 0
    let clientsCount = 0
    for await (const { subscriptions } of this.store.sessions()) {
      if (subscriptions.length > 0) clientsCount++
      for (const { qos } of subscriptions) if (qos > 0) subsCount++
    }
    return { subsCount, clientsCount }
  }

  getClientList(filter: string): Readable {
    return Readable.from(this.clientsWith(filter))
  }

  outgoingEnqueue(subscription: { readonly clientId: string }, packet: AedesPacket): Promise<void> {
    return this.outgoingEnqueueCombi([subscription], packet)
  }

  async outgoingEnqueueCombi(
    subscriptions: { readonly clientId: string }[],
    packet: AedesPacket,
  ): Promise<void> {
    await Promise.all(subscriptions.map(({ clientId }) => this.session({ id: clientId })))
    const delivery = { qos: packet.qos, retain: packet.retain, identifiers: [], sharedFilter: undefined }
    await this.accept({
      message: storedMessage(queuedPacket(packet), this.clock),
      recipients: subscriptions.map(({ clientId }) => ({ clientId, delivery })),
    })
  }

  outgoingStream(client: Named): Readable {
    return Readable.from(this.outgoing(client))
  }

  /** Gives the packet its identifier, or, where it is a PUBREL, marks what has that identifier as released. */
  async outgoingUpdate(client: Named, packet: AedesPacket | Release): Promise<void> {
    const session = await this.session(client)
    const { messageId } = packet
    if (isRelease(packet)) {
      const sequence = session.sequenceOf(messageId)
      if (sequence === undefined) throw noSuchPacket()
      await written((done) => session.stored.release(sequence, done))
      return
    }
    for await (const { sequence, message } of queue(session.stored)) {
      const queued = message === undefined ? undefined : storedPacket(message)
      if (queued?.brokerId !== packet.brokerId || queued?.brokerCounter !== packet.brokerCounter) continue
      session.identifiers.set(sequence, messageId)
      return
    }
    throw noSuchPacket()
  }

  /** Removes the packet with that identifier and returns it; undefined when there is none. */
  async outgoingClearMessageId(
    client: Named,
    { messageId }: { readonly messageId?: number | undefined },
  ): Promise<AedesPacket | Release | undefined> {
    const session = await this.session(client)
    const sequence = session.sequenceOf(messageId)
    if (sequence === undefined) return undefined
    const [entry] = await session.stored.read(sequence - 1, { messages: 1, bytes: 0 })
    const packet = entry?.sequence === sequence ? session.packetOf(entry) : undefined
    session.identifiers.delete(sequence)
    await written((done) => session.stored.settle(sequence, done))
    return packet
  }

  async incomingStorePacket(client: Named, packet: AedesPacket): Promise<void> {
    const session = await this.session(client)
    const packetId = identifierOf(packet)
    const incoming = { session: session.stored, packetId }
    await this.accept({ message: storedMessage(packet, this.clock), incoming })
    session.incoming.set(packetId, { ...queuedPacket(packet), messageId: packetId })
  }

  /** The packet, or no more than its identifier when it was stored by an earlier process. */
  async incomingGetPacket(
    client: Named,
    packet: { readonly messageId?: number | undefined },
  ): Promise<AedesPacket | { messageId: number }> {
    const session = await this.session(client)
    const packetId = identifierOf(packet)
    if (!session.stored.incoming.has(packetId)) throw noSuchPacket()
    return session.incoming.get(packetId) ?? { messageId: packetId }
  }

  async incomingDelPacket(client: Named, packet: { readonly messageId?: number | undefined }): Promise<void> {
    const session = await this.session(client)
    const packetId = identifierOf(packet)
    if (!session.stored.incoming.has(packetId)) throw noSuchPacket()
    session.incoming.delete(packetId)
    await written((done) => session.stored.forgetIncoming(packetId, done))
  }

  async cleanIncoming(client: Named): Promise<void> {
    const { stored, incoming } = await this.session(client)
    incoming.clear()
    await Promise.all(
      [...stored.incoming].map((packetId) => written((done) => stored.forgetIncoming(packetId, done))),
    )
  }

  /** Marks the packet with client and node, as Aedes expects of a persistence. */
  putWill(client: Named, packet: AedesPacket): Promise<void> {
    packet.brokerId = this.broker.id
    packet.clientId = client.id
    const message = storedMessage(packet, this.clock)
    return this.store.putWill(client.id, { message, delayInterval: 0, dueAt: undefined })
  }

  async getWill(client: Named): Promise<AedesPacket | undefined> {
    for await (const [clientId, { message }] of this.store.wills())
      if (clientId === client.id) return storedPacket(message)
    return undefined
  }

  async delWill(client: Named): Promise<AedesPacket | undefined> {
    const will = await this.getWill(client)
    await this.store.deleteWill(client.id)
    return will
  }

  /** Wills of clients of other nodes than those in `brokers`. */
  streamWill(brokers: Readonly<Record<string, unknown>> = {}): Readable {
    return Readable.from(this.willsWithout(brokers))
  }

  /** The store stays open: whoever opened it closes it. */
  destroy(): Promise<void> {
    if (this.destroyed) return Promise.reject(new Error('the persistence was destroyed twice'))
    this.destroyed = true
    this.handles.clear()
    return Promise.resolve()
  }

  private belongTo(broker: Named): Promise<void> {
    this.owner = broker
    return Promise.resolve()
  }

  private session({ id }: Named): Promise<AedesSession> {
    let session = this.handles.get(id)
    if (session === undefined) {
      session = this.store
        .openSession(id, { cleanStart: false, expiryInterval: KEPT_FOR_EVER })
        .then((stored) => new AedesSession(stored))
      this.handles.set(id, session)
      // The next call tries again.
      session.catch(() => this.handles.delete(id))
    }
    return session
  }

  private accept(accept: Partial<Accept> & Pick<Accept, 'message'>): Promise<void> {
    return written((done) =>
      this.store.accept({ recipients: [], retain: false, incoming: undefined, ...accept }, done),
    )
  }

  private async *retained(filters: readonly string[]): AsyncGenerator<AedesPacket> {
    for (const filter of filters)
      for await (const messages of this.store.retained(filter))
        for (const message of messages) yield storedPacket(message)
  }

  /** Sorted: a store lists sessions in no order, and programs that look expect one. */
  private async *clientsWith(filter: string): AsyncGenerator<string> {
    const found: string[] = []
    for await (const { clientId, subscriptions } of this.store.sessions())
      if (subscriptions.some((subscription) => formatFilter(subscription) === filter)) found.push(clientId)
    yield* found.sort()
  }

  private async *outgoing(client: Named): AsyncGenerator<AedesPacket | Release> {
    const session = await this.session(client)
    for await (const entry of queue(session.stored)) yield session.packetOf(entry)
  }

  private async *willsWithout(brokers: Readonly<Record<string, unknown>>): AsyncGenerator<AedesPacket> {
    for await (const [, { message }] of this.store.wills()) {
      const will = storedPacket(message)
      if (will.brokerId === undefined || !Object.hasOwn(brokers, will.brokerId)) yield will
    }
  }
}

/** A session that Aedes uses. */
class AedesSession {
  /** Packet identifiers by sequence. */
  readonly identifiers = new Map<number, number | undefined>()
  /** QoS 2 packets that wait for PUBREL, by packet identifier. */
  readonly incoming = new Map<number, AedesPacket>()

  constructor(readonly stored: StoredSession) {}

  sequenceOf(messageId: number | undefined): number | undefined {
    if (messageId === undefined) return undefined
    for (const [sequence, identifier] of this.identifiers) if (identifier === messageId) return sequence
    return undefined
  }

  packetOf({ sequence, message }: QueueEntry): AedesPacket | Release {
    const messageId = this.identifiers.get(sequence)
    return message === undefined ? { cmd: 'pubrel', messageId } : { ...storedPacket(message), messageId }
  }
}

async function* queue(session: StoredSession): AsyncGenerator<QueueEntry> {
  let cursor = 0
  for (
    let page = await session.read(cursor, PAGE);
    page.length > 0;
    page = await session.read(cursor, PAGE)
  ) {
    yield* page
    cursor = page.at(-1)?.sequence ?? cursor
  }
}

function withIdentifier(subscription: Subscription): PacketSubscription {
  const { identifier } = subscription
  const packet = toPacketSubscription(subscription)
  return identifier === undefined ? packet : { ...packet, subscriptionIdentifier: identifier }
}

function isRelease(packet: AedesPacket | Release): packet is Release {
  return packet.cmd === 'pubrel'
}

function identifierOf({ messageId }: { readonly messageId?: number | undefined }): number {
  if (messageId === undefined) throw noSuchPacket()
  return messageId
}

function noSuchPacket(): Error {
  return new Error('no such packet')
}

/** The end of a write as a promise. */
function written(write: (done: (error: Error | undefined) => void) => void): Promise<void> {
  return new Promise((resolve, reject) =>
    write((error) => {
      if (error === undefined) resolve()
      else reject(error)
    }),
  )
}
