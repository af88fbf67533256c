import type { Addressees, NodeListener, NodeQuestion } from '../../contract/cluster.js'
import type { Clock } from '../../contract/clock.js'
import type { Engine } from '../../contract/engine.js'
import type { Message } from '../../contract/message.js'
import { ReasonCode } from '../../wire/reason-codes.js'
import { giveTo, type RedistributeDependencies } from '../redistribute.js'
import type { Session } from '../session.js'
import type { Sessions } from '../sessions.js'
import type { SessionTable } from '../session-table.js'
import type { Wills } from '../wills.js'
import type { ClientClaims } from './client-claims.js'
import type { FollowedSessions } from './followed-sessions.js'

export interface ArrivalsParts extends RedistributeDependencies {
  readonly engine: Engine
  readonly table: SessionTable
  readonly sessions: Sessions
  readonly wills: Wills
  readonly claims: ClientClaims
  readonly followed: FollowedSessions
  readonly clock: Clock
  readonly onDefect: (error: unknown) => void
}

type Takeover = Extract<NodeQuestion, { kind: 'takeover' }>

/** What other nodes send, and ask for. */
export class Arrivals implements NodeListener {
  constructor(private readonly parts: ArrivalsParts) {}

  message(_from: string, message: Message, { all, sharedFilters, queued }: Addressees): void {
    const { engine, router, table, onDefect } = this.parts
    for (const { clientId, sequence, delivery } of queued) {
      const client = table.clientOf(clientId)
      // Without its connection the session reads its queue wherever it is opened next.
      if (client?.session.durable !== true) continue
      const { session, deliveries } = client
      if (sequence === 0) session.deliver(message, delivery, undefined)
      else if (this.trusts(session)) session.deliver(message, delivery, sequence)
      else deliveries.lookAgain()
    }
    if (all) engine.emitHere(message, router.routeHere(message).targets)
    for (const sharedFilter of sharedFilters) {
      const target = router.shareHere(message, sharedFilter)
      if (target === undefined) this.parts.events.messageDropped('session_ended', undefined, 1)
      else giveTo(target, message, this.parts).catch(onDefect)
    }
  }

  async asked(_from: string, question: NodeQuestion): Promise<void> {
    if (question.kind === 'caught-up') await this.parts.followed.caughtUp()
    else await this.parts.sessions.lock.run(question.clientId, () => this.letGo(question))
  }

  missed(): void {
    for (const { stored, deliveries } of this.parts.table.clients())
      if (stored !== undefined) deliveries.lookAgain()
  }

  private trusts(session: Session): boolean {
    const { distrustedUntil } = session
    if (distrustedUntil === undefined) return true
    if (distrustedUntil > this.parts.clock.monotonic()) return false
    session.distrustedUntil = undefined
    return true
  }

  /** The client has connected to another node [MQTT-3.1.4-3]. */
  private async letGo({ clientId, epoch, sessionEnds }: Takeover): Promise<void> {
    const { table, claims, wills } = this.parts
    const client = table.clientOf(clientId)
    if (client !== undefined && claims.isOlder(clientId, epoch)) {
      client.connection.end('taken_over', ReasonCode.SessionTakenOver)
      await client.connection.release()
    }
    // A client that is back before the delay is over takes its will back, unless its session has ended [MQTT-3.1.3-9].
    if (table.clientOf(clientId) !== undefined || !wills.isDelayed(clientId)) return
    if (sessionEnds) await wills.sessionEnded(clientId)
    else await wills.discard(clientId)
  }
}
