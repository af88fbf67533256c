import type { NodeBus } from '../contract/cluster.js'
import type { SessionEvents } from '../contract/events.js'
import type { Message } from '../contract/message.js'
import type { Router, Target } from '../contract/router.js'
import type { QueueEntry, Store } from '../contract/store.js'
import { NEVER, type Session } from './session.js'

export interface RedistributeDependencies {
  readonly router: Router
  readonly store: Store
  readonly events: SessionEvents
  readonly bus: NodeBus | undefined
}

/** What a session that ends leaves to the other members of its share groups; `unsettled`: of what was under way. */
export async function undelivered(
  session: Session,
  unsettled: readonly QueueEntry[],
  store: Store,
): Promise<readonly QueueEntry[]> {
  if (session.queue !== undefined) return [...unsettled, ...session.queue.drain()]
  return session.isShared ? remainingOf(session.clientId, store) : []
}

/** The messages of share groups in the stored queue of a session that ends, which is opened for it. */
export async function remainingOf(clientId: string, store: Store): Promise<readonly QueueEntry[]> {
  const toEmpty = { cleanStart: false, expiryInterval: NEVER, evenExpired: true }
  const stored = await store.openSession(clientId, toEmpty)
  const entries: QueueEntry[] = []
  let cursor = stored.settledUpTo
  for (;;) {
    const read = await stored.read(cursor, { messages: 1_000, bytes: 1 << 20 })
    const last = read.at(-1)
    if (last === undefined) return entries
    entries.push(...read.filter(({ delivery }) => delivery.sharedFilter !== undefined))
    cursor = last.sequence
  }
}

/**
 * Gives what an ended session took from its share groups to the groups' other members (MQTT 5, 4.8.2). A QoS 2
 * message that was sent already may have arrived and goes to nobody else [MQTT-4.8.2-5].
 */
export async function redistribute(
  former: Session,
  entries: readonly QueueEntry[],
  deps: RedistributeDependencies,
): Promise<void> {
  const { router, events } = deps
  for (const { message, delivery, sequence } of entries) {
    if (message === undefined || delivery.sharedFilter === undefined) continue
    if (delivery.qos === 2 && sequence <= former.maybeSentUpTo) continue
    const target = router.reroute(message, delivery.sharedFilter, former)
    if (target === undefined) events.messageDropped('session_ended', former.clientId, 1)
    else await giveTo(target, message, deps)
  }
}

/** Gives a message to one member of a share group: puts it into its queue, where it has one. */
export async function giveTo(
  { subscriber, delivery }: Target,
  message: Message,
  { store, events, bus }: Omit<RedistributeDependencies, 'router'>,
): Promise<void> {
  if (!subscriber.durable || delivery.qos === 0) {
    subscriber.deliver(message, delivery, undefined)
    return
  }
  const { clientId } = subscriber
  const recipients = [{ clientId, delivery }]
  await new Promise<void>((resolve) => {
    store.accept({ message, recipients, retain: false, incoming: undefined }, (error, [sequence], owners) => {
      const owner = owners?.[0]
      if (error !== undefined) events.messageDropped('store_failed', clientId, 1)
      else if (owner === undefined) subscriber.deliver(message, delivery, sequence)
      else if (sequence !== undefined) bus?.forwardQueued(owner, message, { clientId, sequence, delivery })
      resolve()
    })
  })
}
