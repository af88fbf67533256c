import type { Router } from '../contract/router.js'
import type { QueueEntry, Store } from '../contract/store.js'
import type { SessionEvents } from '../contract/events.js'
import type { Session } from './session.js'

export interface RedistributeDependencies {
  readonly router: Router
  readonly store: Store
  readonly events: SessionEvents
}

/**
 * Gives what an ended session took from its share groups to the groups' other members (MQTT 5, 4.8.2). A QoS 2
 * message that was sent already may have arrived and goes to nobody else [MQTT-4.8.2-5].
 */
export async function redistribute(
  former: Session,
  entries: readonly QueueEntry[],
  { router, store, events }: RedistributeDependencies,
): Promise<void> {
  for (const { message, delivery, sequence } of entries) {
    if (message === undefined || delivery.sharedFilter === undefined) continue
    if (delivery.qos === 2 && sequence <= former.maybeSentUpTo) continue
    const target = router.reroute(message, delivery.sharedFilter, former)
    if (target === undefined) {
      events.messageDropped('session_ended', former.clientId, 1)
      continue
    }
    const { subscriber } = target
    if (!subscriber.durable || target.delivery.qos === 0) {
      subscriber.deliver(message, target.delivery, undefined)
      continue
    }
    const recipients = [{ clientId: subscriber.clientId, delivery: target.delivery }]
    await new Promise<void>((resolve) => {
      store.accept({ message, recipients, retain: false, incoming: undefined }, (error, sequences) => {
        if (error === undefined) subscriber.deliver(message, target.delivery, sequences[0])
        else events.messageDropped('store_failed', former.clientId, 1)
        resolve()
      })
    })
  }
}
