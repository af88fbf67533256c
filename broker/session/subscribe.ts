import type { SubscribeDecision } from '../contract/policy.js'
import type { Subscription } from '../contract/subscription.js'
import { formatFilter, parseFilter, type ParsedFilter } from '../contract/topic.js'
import type { SubscribePacket, SubscriptionRequest, UnsubscribePacket } from '../wire/packet.js'
import { encodeSubAck, encodeUnsubAck } from '../wire/suback-encoder.js'
import { ReasonCode } from '../wire/reason-codes.js'
import type { ConnectedClient } from './connected-client.js'
import type { SessionLayer } from './session-layer.js'

interface Granted {
  readonly subscription: Subscription
  /** Whether it was there before: decides about retained messages [MQTT-3.3.1-10]. */
  readonly existed: boolean
}

/** SUBSCRIBE (MQTT 5, 3.8): checks each filter, stores, routes, answers, then sends what is retained. */
export async function subscribe(
  client: ConnectedClient,
  packet: SubscribePacket,
  layer: SessionLayer,
): Promise<void> {
  const codes: number[] = []
  const granted: Granted[] = []
  // As if each filter had come alone [MQTT-3.8.4-5]: the same one twice is first new, then there already.
  const added = new Set<string>()
  const isThere = (text: string): boolean => client.session.subscriptions.has(text) || added.has(text)
  for (const request of packet.subscriptions) {
    const room = layer.limits.subscriptionsPerClient - client.session.subscriptions.size - added.size
    const outcome = await examine(client, request, packet.subscriptionIdentifier, layer, (filter) => {
      return room > 0 || isThere(formatFilter(filter))
    })
    if (typeof outcome === 'number') {
      codes.push(outcome)
      layer.events.subscribed(client.clientId, request.filter, outcome)
    } else {
      codes.push(outcome.qos)
      const text = formatFilter(outcome)
      const existed = isThere(text)
      granted.push({ subscription: outcome, existed })
      if (!existed) added.add(text)
    }
  }
  const subscriptions = granted.map(({ subscription }) => subscription)
  await addSubscriptions(client, subscriptions, layer)
  // What is published anywhere after the SUBACK reaches the client. For a durable session that is sure: a node that is
  // paused would acknowledge messages when it wakes that are in no queue of this session. Others need not wait that long.
  if (layer.cluster !== undefined && subscriptions.length > 0)
    await layer.cluster.settled(client.stored === undefined)
  client.send(encodeSubAck(packet.packetId, codes, client.version, undefined, client.terms))
  layer.engine.events.subscribed(client.engineClient, subscriptions)
  await client.retained.send(granted.filter(wantsRetained).map(({ subscription }) => subscription))
}

/** UNSUBSCRIBE (MQTT 5, 3.10). */
export async function unsubscribe(
  client: ConnectedClient,
  packet: UnsubscribePacket,
  layer: SessionLayer,
): Promise<void> {
  const { session } = client
  // As if each filter had come alone [MQTT-3.10.4-6]: the second time it is gone.
  const gone = new Set<string>()
  const codes = packet.filters.map((filter) => {
    if (gone.has(filter) || !session.subscriptions.has(filter)) return ReasonCode.NoSubscriptionExisted
    gone.add(filter)
    return ReasonCode.Success
  })
  await removeSubscriptions(client, packet.filters, layer)
  client.send(encodeUnsubAck(packet.packetId, codes, client.version, undefined, client.terms))
  layer.engine.events.unsubscribed(client.engineClient, packet.filters)
}

/** Stored first, routed after: a message that is queued for a subscription must find it after a restart. */
export async function addSubscriptions(
  client: ConnectedClient,
  subscriptions: readonly Subscription[],
  layer: SessionLayer,
): Promise<void> {
  if (subscriptions.length === 0) return
  await client.stored?.subscribe(subscriptions)
  for (const subscription of subscriptions) {
    client.session.keep(subscription)
    layer.router.subscribe(client.session, subscription)
    if (client.policy.maySubscribe(subscription.filter) === 'allowed-in-part') client.filtersDeliveries = true
    layer.events.subscribed(client.clientId, formatFilter(subscription), subscription.qos)
  }
}

/** `filters` as the client writes them, `$share/` prefix included. */
export async function removeSubscriptions(
  client: ConnectedClient,
  filters: readonly string[],
  layer: SessionLayer,
): Promise<void> {
  const { session } = client
  const known = [...new Set(filters)].flatMap((filter) => session.subscriptions.get(filter) ?? [])
  if (known.length === 0) return
  await client.stored?.unsubscribe(known)
  for (const subscription of known) {
    const text = formatFilter(subscription)
    session.forget(text)
    layer.router.unsubscribe(session, subscription.filter, subscription.share)
    layer.events.unsubscribed(client.clientId, text)
  }
}

/** A session resumed by somebody who may see less than who made it: what is denied now goes. */
export async function dropDeniedSubscriptions(client: ConnectedClient, layer: SessionLayer): Promise<void> {
  const denied: string[] = []
  for (const [text, { filter }] of client.session.subscriptions) {
    const decision: SubscribeDecision = client.policy.maySubscribe(filter)
    if (decision === 'denied') denied.push(text)
    if (decision === 'allowed-in-part') client.filtersDeliveries = true
  }
  await removeSubscriptions(client, denied, layer)
}

/** The subscription as granted, or the reason code of its refusal. */
async function examine(
  client: ConnectedClient,
  request: SubscriptionRequest,
  identifier: number | undefined,
  layer: SessionLayer,
  hasRoomFor: (filter: ParsedFilter) => boolean,
): Promise<Subscription | number> {
  const { limits } = layer
  const parsed = parseFilter(request.filter, { maxLevels: limits.topicLevels, maxBytes: limits.topicBytes })
  if (typeof parsed === 'string') return ReasonCode.TopicFilterInvalid
  if (client.policy.maySubscribe(parsed.filter) === 'denied') return ReasonCode.NotAuthorized
  if (!hasRoomFor(parsed)) return ReasonCode.QuotaExceeded
  const { qos, noLocal, retainAsPublished, retainHandling } = request
  const { filter, share } = parsed
  // Written out: with a spread each of them has a hidden class of its own, which is 270 bytes a subscription.
  const subscription = { filter, share, qos, noLocal, retainAsPublished, retainHandling, identifier }
  const { authorizeSubscribe } = layer.engine.hooks
  if (authorizeSubscribe === undefined) return subscription
  return (await authorizeSubscribe(client.engineClient, subscription)) ?? ReasonCode.NotAuthorized
}

/** Retained Handling [MQTT-3.3.1-9] to [MQTT-3.3.1-11]; shared subscriptions get none (MQTT 5, 4.8.2). */
function wantsRetained({ subscription: { share, retainHandling }, existed }: Granted): boolean {
  return share === undefined && (retainHandling === 0 || (retainHandling === 1 && !existed))
}
