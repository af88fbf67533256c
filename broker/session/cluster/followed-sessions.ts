import type { Clock } from '../../contract/clock.js'
import type { SessionChange, SessionChangeListener } from '../../contract/store.js'
import type { SessionTable } from '../session-table.js'
import type { Wills } from '../wills.js'
import { isOutage } from './client-claims.js'
import type { ClusterLinks } from './cluster-links.js'

/** Names of nodes that are remembered; each is about 20 bytes. */
const MOST_GONE = 1_000
/** Pause before sessions are read anew that could not be read, milliseconds. */
const RETRY_MS = 1_000

/**
 * The durable sessions of all nodes, as this one knows them: read at the start, followed from then on. Whoever takes a
 * message in puts it into the queues of all of them itself.
 */
export class FollowedSessions implements SessionChangeListener {
  /** Changes that came while all sessions are being read; undefined: they are not. */
  private waiting: SessionChange[] | undefined
  /** All sessions are read one time after the other. Does not reject. */
  private reading: Promise<void> = Promise.resolve()
  private endPause: () => void = () => {}
  private stops = 0
  private begun = false
  private tellStarted: () => void = () => {}
  /** Resolves when all sessions are known, or never will be. */
  started = this.whenStarted()
  /** The last nodes that have gone: what they had done may be told later than that. */
  private readonly gone = new Set<string>()

  constructor(
    private readonly links: Pick<ClusterLinks, 'store' | 'membership'>,
    private readonly table: SessionTable,
    private readonly wills: Wills,
    /** Ends a connection whose session another node has by now. */
    private readonly endConnection: (clientId: string) => void,
    private readonly clock: Pick<Clock, 'schedule'>,
    private readonly onDefect: (error: unknown) => void,
  ) {}

  /** Follows changes, then reads what there is. */
  async start(): Promise<void> {
    this.waiting = []
    await this.links.store.follow(this)
    await this.inTurn(() => this.read())
    this.begun = true
    this.tellStarted()
  }

  /** This node has been taken over from: it knows nothing until the next start. */
  stop(): void {
    this.stops++
    this.endPause()
    this.tellStarted()
    if (this.begun) this.started = this.whenStarted()
    this.begun = false
    this.waiting = undefined
  }

  changed(change: SessionChange): void {
    if (this.waiting === undefined) this.apply(change)
    else this.waiting.push(change)
  }

  missed(): void {
    // Behind the reading that is under way, which may have passed what was missed.
    this.waiting ??= []
    const { stops } = this
    this.inTurn(() => this.readAgain(stops)).catch(this.onDefect)
  }

  /**
   * Resolves when every change that was made before the call has taken effect here. Before the start is over it takes
   * effect before anybody can publish here: nobody has to wait for that.
   */
  async caughtUp(): Promise<void> {
    if (!this.begun) return
    await this.links.store.caughtUp()
    await this.reading
  }

  /** Share groups prefer members that are online: those of a node that has gone are not. */
  nodeLeft(node: string): void {
    this.gone.add(node)
    for (const oldest of this.gone) if (this.gone.size > MOST_GONE) this.gone.delete(oldest)
    for (const session of this.table.sessions()) if (session.openOn === node) session.openOn = undefined
  }

  /**
   * While Redis is away for longer than a read waits, the reading begins anew: without it no change would be applied any
   * more.
   */
  private async readAgain(stops: number): Promise<void> {
    while (this.stops === stops) {
      try {
        await this.read()
        return
      } catch (error) {
        // Stopped, and perhaps begun anew: then everything is read by that.
        if (this.stops !== stops) return
        if (!isOutage(error)) throw error
        await this.pause()
      }
    }
  }

  private inTurn(read: () => Promise<void>): Promise<void> {
    const result = this.reading.then(read)
    this.reading = result.catch(() => {})
    return result
  }

  private pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.clock.schedule(RETRY_MS, resolve)
      this.endPause = () => {
        timer.cancel()
        resolve()
      }
    })
  }

  /**
   * Changes that come meanwhile wait, and are applied to what was read: that may have some of them already, and the
   * last change of a filter decides.
   */
  private async read(): Promise<void> {
    this.waiting ??= []
    const ended = new Set<string>()
    for (const { clientId, durable } of this.table.sessions()) if (durable) ended.add(clientId)
    for await (const { clientId, subscriptions, openOn } of this.links.store.sessions()) {
      ended.delete(clientId)
      if (this.table.clientOf(clientId) !== undefined) continue
      const session = this.table.follow(clientId)
      this.table.align(session, subscriptions)
      session.openOn = openOn !== undefined && this.links.membership.others.has(openOn) ? openOn : undefined
    }
    for (const clientId of ended) if (this.table.clientOf(clientId) === undefined) this.forget(clientId)
    const changes = this.waiting
    this.waiting = undefined
    for (const change of changes) this.apply(change)
  }

  private apply(change: SessionChange): void {
    const { clientId } = change
    // When a session is opened here all earlier changes have been told: this one was made by whoever has it now.
    if (this.table.clientOf(clientId) !== undefined) this.endConnection(clientId)
    const session = this.table.find(clientId)
    switch (change.kind) {
      case 'subscribed': {
        const followed = this.table.follow(clientId)
        for (const subscription of change.subscriptions) this.table.subscribe(followed, subscription)
        followed.openOn = this.unlessGone(change.node)
        break
      }
      case 'unsubscribed':
        if (session !== undefined)
          for (const filter of change.filters) this.table.unsubscribe(session, filter)
        break
      case 'opened':
        if (session !== undefined) session.openOn = this.unlessGone(change.node)
        break
      case 'closed':
        if (session !== undefined) session.openOn = undefined
        break
      case 'ended':
        this.forget(clientId)
        // A delay ends with the session, whoever has ended it [MQTT-3.1.2-8].
        if (this.wills.isDelayed(clientId)) this.wills.sessionEnded(clientId).catch(this.onDefect)
    }
  }

  private whenStarted(): Promise<void> {
    return new Promise((resolve) => (this.tellStarted = resolve))
  }

  private forget(clientId: string): void {
    const session = this.table.find(clientId)
    if (session !== undefined) this.table.remove(session)
  }

  private unlessGone(node: string): string | undefined {
    return this.gone.has(node) ? undefined : node
  }
}
