import type { Principal } from './principal.js'

/**
 * Access rules, compiled. Every decision is synchronous and depends on its arguments only, so that callers may
 * remember it for as long as they hold the same `PrincipalPolicy`.
 */
export interface AccessPolicy {
  /** Rules with the client's identity filled in. Made once a connection. */
  forPrincipal(principal: Principal, clientId: string): PrincipalPolicy
}

export interface PrincipalPolicy {
  mayPublish(topic: string): boolean
  /**
   * `filter` is without its `$share/group/` prefix. `allowed-in-part`: granted, but a deny rule covers some of
   * the topics that the filter matches, so that each delivery asks `mayReceive`.
   */
  maySubscribe(filter: string): SubscribeDecision
  /** Whether a message of this topic may be delivered: some rule allows it to be subscribed to and none denies it. */
  mayReceive(topic: string): boolean
}

export type SubscribeDecision = 'allowed' | 'allowed-in-part' | 'denied'
