import { formatFilter } from '../contract/topic.js'
import type { Subscription } from '../contract/subscription.js'

/**
 * What a session's subscriptions are told apart by: the filter as the client wrote it. Share names have no
 * slash, so two subscriptions with one text are the same.
 */
export function subscriptionKey(subscription: Pick<Subscription, 'filter' | 'share'>): string {
  return formatFilter(subscription)
}
