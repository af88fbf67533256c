import type {
  Membership,
  NodeBus,
  NodeListener,
  NodeQuestion,
  QueuedPlace,
  RedisCommands,
  RedisPort,
} from '../../contract/cluster.js'
import type { Clock } from '../../contract/clock.js'
import { GatewayError } from '../../contract/errors.js'
import type { BusEvents } from '../../contract/events.js'
import type { Message } from '../../contract/message.js'
import type { Router } from '../../contract/router.js'
import type { Readiness, Service } from '../../contract/service.js'
import type { WriteDone } from '../../contract/store.js'
import { busKeys, KEPT_SECONDS, KEPT_UNKNOWN_SECONDS, removeKeys } from './bus-keys.js'
import { Incoming, type Peer } from './incoming.js'
import { InterestCopy } from './interest-copy.js'
import type { InterestTellers, Settling, LocalInterest } from './local-interest.js'
import { MessageBodies } from './message-body.js'
import { Outgoing } from './outgoing.js'
import { Questions } from './questions.js'
import { RemoteInterest } from './remote-interest.js'
import { RemoteNode } from './remote-node.js'
import { Senders } from './senders.js'
import { StreamReader } from './stream-reader.js'
import { StreamWriter } from './stream-writer.js'
import { WriteHealth } from './write-health.js'
import { WrittenLine } from './written-line.js'

export interface ClusterBusParts {
  readonly membership: Membership
  readonly redis: RedisPort
  /** Gets a subscriber for each other node. */
  readonly router: Router
  /** The one that the router tells what is wanted here. */
  readonly interest: LocalInterest
  readonly clock: Clock
  readonly events: BusEvents
  /** The listener, or who waited in `written`, threw. */
  readonly onDefect: (error: unknown) => void
  /** What may wait for one node while Redis is away, bytes, 1 upwards. Default: 32 MiB. */
  readonly backlogBytes?: number
}

const BACKLOG_BYTES = 33_554_432
/** How long a node that begins, and who is in a hurry, wait for another one, milliseconds. */
const SETTLE_MS = 1_000
/** Longer than any lease: a question to a node ends when it leaves. Milliseconds. */
const PATIENT_MS = 600_000
/** How long a node that stops waits for what it has handed over, and then for its keys to be removed, milliseconds. */
const FAREWELL_MS = 1_000

/** A node's place in the cluster: from its stream being made until it stops or is expelled. */
interface Presence {
  readonly self: string
  readonly reader: StreamReader
  readonly copy: InterestCopy
}

/**
 * The bus between nodes: each has a stream in Redis that the others write to. Start it before this node joins, so
 * that there is a stream when others hear of it; `introduced` tells when others know what is wanted here.
 */
export class ClusterBus implements NodeBus, Service, InterestTellers {
  readonly name = 'bus'
  private readonly peers = new Map<string, Peer>()
  private readonly senders = new Senders()
  private readonly line: WrittenLine
  private readonly bodies = new MessageBodies()
  private readonly questions: Questions
  private readonly health: WriteHealth
  private readonly incoming: Incoming
  private readonly limits: { readonly bytes: number }
  private commands: RedisCommands | undefined
  private presence: Presence | undefined
  /** The membership has this node, and once it has left others remove what it leaves here. */
  private isKnown = false
  /** Former names of this node whose keys are still there. */
  private readonly ended = new Set<string>()
  private unwatch: (() => void) | undefined
  private dirty: Outgoing[] = []
  private scheduled = false
  private count = 0
  /** The message handed over last in this turn, and whether it was refused. */
  private lastMessage: Message | undefined
  private lastRefused = false

  constructor(private readonly parts: ClusterBusParts) {
    this.line = new WrittenLine(parts.onDefect)
    this.questions = new Questions(parts.clock)
    this.health = new WriteHealth(parts.events)
    this.limits = { bytes: parts.backlogBytes ?? BACKLOG_BYTES }
    const { events, onDefect } = parts
    const { senders, questions, peers } = this
    const meet = (node: string): Peer | undefined => this.peer(node)
    this.incoming = new Incoming({ senders, questions, peers, meet, events, onDefect })
    parts.interest.connect(this)
  }

  listen(listener: NodeListener): void {
    this.incoming.listener = listener
  }

  /** Resolves when this node has its stream: waits for Redis. */
  async start(): Promise<void> {
    this.commands = this.parts.redis.open('bus')
    this.commands.onReady(() => void this.removeLeft())
    this.unwatch = this.parts.membership.watch({
      joined: (node) => {
        this.senders.joined(node)
        this.peer(node)
      },
      left: (node) => this.forget(node),
      adopted: (_adopted, node) => this.removeKeysOf(node),
      expelled: () => this.leave(),
      rejoined: () => this.join(),
    })
    await this.commands.ready()
    await this.join()
  }

  readiness(): Readiness {
    return this.health.readiness()
  }

  /** Writes what waits and removes what this node has in Redis, for a second at most each. */
  async stop(): Promise<void> {
    this.unwatch?.()
    this.unwatch = undefined
    if (this.presence !== undefined) {
      this.endTurn()
      await this.allWritten()
      const patience = this.parts.clock.schedule(FAREWELL_MS, () => this.commands?.close())
      await this.leave()
      patience.cancel()
    }
    this.commands?.close()
    this.commands = undefined
  }

  /**
   * Resolves when every other node knows of this one and what it wants, and the other way round, or does not answer:
   * what is published here from then on gets everywhere. To be called once this node has joined.
   */
  async introduced(): Promise<void> {
    this.isKnown = true
    await Promise.all(
      [...this.parts.membership.others].map(async (node) => {
        await this.ask(node, { kind: 'caught-up' }, SETTLE_MS)
        await this.peers.get(node)?.interest.takingIn
      }),
    )
  }

  get handedOver(): number {
    return this.count
  }

  forward(node: string, message: Message): void {
    const outgoing = this.handOver(node, message)
    if (outgoing?.forward(message) === false) this.refuse(message, true)
  }

  forwardShared(node: string, message: Message, sharedFilter: string): void {
    const outgoing = this.handOver(node, message)
    if (outgoing?.forwardShared(message, sharedFilter) === false) this.refuse(message, true)
  }

  forwardQueued(node: string, message: Message, place: QueuedPlace): void {
    const outgoing = this.handOver(node, message)
    if (outgoing?.forwardQueued(message, place) === false) this.refuse(message, false)
  }

  written(done: WriteDone): void {
    if (this.presence === undefined) done(closed())
    else this.line.wait(done, this.lastRefused ? busy() : undefined)
  }

  ask(node: string, question: NodeQuestion, withinMs: number): Promise<boolean> {
    const outgoing = this.peer(node)?.outgoing
    if (outgoing === undefined) return Promise.resolve(false)
    return this.questions.ask(node, withinMs, (id) => outgoing.question(id, question))
  }

  wake(): void {
    if (this.scheduled) return
    this.scheduled = true
    setImmediate(this.endTurn)
  }

  settle(): Settling {
    const asked = [...this.peers.keys()].map((node) => this.ask(node, { kind: 'caught-up' }, PATIENT_MS))
    const surely = Promise.all(asked).then(() => {})
    return { surely, soon: this.within(SETTLE_MS, surely) }
  }

  /** Resolves with the promise, or when the time is over. */
  private within(milliseconds: number, promise: Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.parts.clock.schedule(milliseconds, resolve)
      void promise.finally(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  private async join(): Promise<void> {
    const { redis, membership, clock, interest, events } = this.parts
    const { commands, health } = this
    if (commands === undefined) return
    const self = membership.self
    const keys = busKeys(redis.keyPrefix, self)
    const reader = new StreamReader({
      redis,
      commands,
      keys,
      keptSeconds: () => (this.isKnown ? KEPT_SECONDS : KEPT_UNKNOWN_SECONDS),
      clock,
      health,
      onEntry: (bytes) => this.incoming.arrived(bytes),
      onLost: () => this.lost(),
      onInterestLost: () => this.rewriteInterest(),
      onDamaged: (key) => events.interestDamaged(key),
    })
    const copy: InterestCopy = new InterestCopy({
      redis: commands,
      keys,
      clock,
      health,
      onLost: () => {
        events.interestDamaged(keys.interest)
        this.rewriteInterest()
      },
    })
    const presence = { self, reader, copy }
    this.presence = presence
    await reader.start()
    if (this.presence !== presence) return
    presence.copy.rewrite(interest.beginAnew(), interest.all())
    for (const node of membership.others) this.peer(node)
  }

  /** Lets go of everything: what others send to this name from now on is lost. */
  private async leave(): Promise<void> {
    const { presence } = this
    if (presence === undefined) return
    this.presence = undefined
    this.line.fail(closed())
    this.questions.end()
    for (const node of [...this.peers.keys()]) this.forget(node)
    this.senders.clear()
    this.dirty = []
    presence.copy.close()
    await presence.reader.stop()
    this.ended.add(presence.self)
    await this.removeLeft()
  }

  private forget(node: string): void {
    this.questions.left(node)
    const peer = this.peers.get(node)
    this.senders.left(node, peer?.outgoing.lastNumber)
    if (peer === undefined) return
    this.peers.delete(node)
    const lost = peer.outgoing.close()
    if (lost > 0) this.parts.events.busDropped('node_left', lost)
    peer.interest.close()
  }

  /** What cannot be removed now is removed when Redis is back; when the process ends before, it goes by itself. */
  private async removeLeft(): Promise<void> {
    for (const node of [...this.ended]) {
      try {
        await this.removeKeysOf(node)
        this.ended.delete(node)
        this.health.succeeded(this.ended)
      } catch (error) {
        this.health.failed(this.ended, error)
      }
    }
  }

  private async removeKeysOf(node: string): Promise<void> {
    if (this.commands !== undefined)
      await removeKeys(this.commands, busKeys(this.parts.redis.keyPrefix, node))
  }

  /** The other node; met now, unless it has left or is nobody. */
  private peer(node: string): Peer | undefined {
    const known = this.peers.get(node)
    if (known !== undefined) return known
    const { presence, commands } = this
    if (presence === undefined || commands === undefined) return undefined
    if (node === presence.self || this.senders.hasLeft(node)) return undefined
    const peer = this.meet(node, presence.self, commands)
    this.peers.set(node, peer)
    const version = this.parts.interest.version
    // Whatever was told before they met is read from Redis.
    peer.outgoing.interest({ base: version, version, wanted: [] })
    return peer
  }

  private meet(node: string, self: string, redis: RedisCommands): Peer {
    const { membership, router, clock, events } = this.parts
    const { bodies, line, limits, health } = this
    const keys = busKeys(this.parts.redis.keyPrefix, node)
    const stream = new StreamWriter(keys.stream, {
      redis,
      clock,
      events,
      health,
      line,
      isMember: () => membership.others.has(node),
      onGone: () => this.forget(node),
    })
    const onDirty = (outgoing: Outgoing): void => {
      this.dirty.push(outgoing)
      this.wake()
    }
    const newNode = (): RemoteNode => new RemoteNode(node, this, router)
    return {
      outgoing: new Outgoing(stream, {
        self,
        after: this.senders.sentTo(node),
        bodies,
        line,
        limits,
        onDirty,
      }),
      interest: new RemoteInterest({
        redis,
        key: keys.interest,
        clock,
        health,
        newNode,
        onDamaged: (key) => events.interestDamaged(key),
      }),
    }
  }

  private handOver(node: string, message: Message): Outgoing | undefined {
    const outgoing = this.peer(node)?.outgoing
    if (outgoing === undefined) return undefined
    this.count++
    if (this.lastMessage !== message) {
      this.lastMessage = message
      this.lastRefused = false
    }
    return outgoing
  }

  private refuse(message: Message, isPublishersLoss: boolean): void {
    this.parts.events.busDropped(message.qos === 0 ? 'backlog' : 'refused', 1)
    if (isPublishersLoss && message.qos > 0) this.lastRefused = true
  }

  private readonly endTurn = (): void => {
    this.scheduled = false
    if (this.presence !== undefined) this.tellChanges(this.presence.copy)
    this.parts.interest.settle()
    const { dirty } = this
    this.dirty = []
    for (const outgoing of dirty) outgoing.flush()
    this.bodies.forget()
    this.lastMessage = undefined
    this.lastRefused = false
    this.line.turn()
  }

  private tellChanges(copy: InterestCopy): void {
    for (const change of this.parts.interest.changes()) {
      copy.write(change.version, change.wanted)
      for (const { outgoing } of this.peers.values()) outgoing.interest(change)
    }
  }

  /** Redis has lost this node's stream or a part of it, and perhaps what it wants as well. */
  private lost(): void {
    this.rewriteInterest()
    this.incoming.missed(undefined)
  }

  private rewriteInterest(): void {
    const { interest } = this.parts
    this.presence?.copy.rewrite(interest.beginAnew(), interest.all())
    const { version } = interest
    for (const { outgoing } of this.peers.values()) outgoing.interest({ base: version, version, wanted: [] })
  }

  private async allWritten(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.parts.clock.schedule(FAREWELL_MS, resolve)
      this.line.wait(() => {
        timer.cancel()
        resolve()
      }, undefined)
    })
  }
}

function busy(): GatewayError {
  return new GatewayError('STORE_BUSY', 'Too much waits for Redis on its way to other nodes.')
}

function closed(): GatewayError {
  return new GatewayError('STORE_CLOSED', 'The bus between nodes has ended.')
}
