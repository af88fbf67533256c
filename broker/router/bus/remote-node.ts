import type { NodeBus } from '../../contract/cluster.js'
import type { Message } from '../../contract/message.js'
import type { Router } from '../../contract/router.js'
import type { Delivery, Subscriber, Subscription } from '../../contract/subscription.js'
import { parseFilter } from '../../contract/topic.js'

/** Bounds of the protocol: what a session of another node has subscribed to was checked there. */
const FILTER_LIMITS = { maxLevels: 100, maxBytes: 65_535 }

/** Another node as a subscriber: one copy of a message, for whoever wants it there. */
export class RemoteNode implements Subscriber {
  readonly clientId = ''
  readonly durable = false
  readonly online = true

  constructor(
    readonly node: string,
    private readonly bus: Pick<NodeBus, 'forward' | 'forwardShared'>,
    private readonly router: Pick<Router, 'subscribe' | 'unsubscribe' | 'remove'>,
  ) {}

  deliver(message: Message, { sharedFilter }: Delivery): void {
    if (sharedFilter === undefined) this.bus.forward(this.node, message)
    else this.bus.forwardShared(this.node, message, sharedFilter)
  }

  /** `members`: 0: wanted no more. Whether that could be used: a filter that is none is passed over. */
  wants(text: string, members: number): boolean {
    const parsed = parseFilter(text, FILTER_LIMITS)
    if (typeof parsed === 'string' || !Number.isSafeInteger(members) || members < 0) return false
    const { filter, share } = parsed
    if (members > 0) this.router.subscribe(this, asPublished(filter, share, members))
    else this.router.unsubscribe(this, filter, share)
    return true
  }

  remove(): void {
    this.router.remove(this)
  }
}

/**
 * Each subscriber there has its own QoS and options: they are applied there. Written out: with spreads the filters of a
 * node that joins take three times as long.
 */
function asPublished(filter: string, share: string | undefined, members: number): Subscription {
  return {
    filter,
    share,
    qos: 2,
    noLocal: false,
    retainAsPublished: true,
    retainHandling: 2,
    identifier: undefined,
    members,
  }
}
