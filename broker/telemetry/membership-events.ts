import type { Registry } from 'prom-client'
import type { MembershipEvents } from '../contract/events.js'
import { counter, gauge, type Cell } from './cells.js'
import { errorFields, type EventLog } from './event-log.js'
import { printable } from './printable.js'

export class MembershipTelemetry implements MembershipEvents {
  private others = 0
  private readonly adoptions: Cell
  private readonly expulsions: Cell
  private readonly damaged: Cell

  constructor(
    registry: Registry,
    private readonly log: EventLog,
  ) {
    gauge(
      registry,
      { name: 'cluster_nodes', help: 'Nodes that live, as this one sees it, itself included.' },
      () => this.others + 1,
    )
    this.adoptions = counter(registry, {
      name: 'cluster_adoptions_total',
      help: 'Nodes that are no more and from which this one has taken over.',
    })
    this.expulsions = counter(registry, {
      name: 'cluster_expulsions_total',
      help: 'Times that the others took this node for dead, so that it began anew.',
    })
    this.damaged = counter(registry, {
      name: 'cluster_damaged_values_total',
      help: 'Values that nodes keep of each other that could not be used and were removed.',
    })
  }

  joined(self: string, others: number): void {
    this.others = others
    this.log.info('node_joined', self, { self, others }, 'this node has joined the others')
  }

  nodeJoined(node: string): void {
    this.others++
    this.log.info('other_node_joined', node, { other: node }, 'another node has joined')
  }

  nodeLeft(node: string): void {
    this.others--
    this.log.info('other_node_left', node, { other: node }, 'another node has left')
  }

  adopted(node: string, sessions: number, wills: number): void {
    this.adoptions.count++
    this.log.warn(
      'node_adopted',
      node,
      { other: node, sessions, wills },
      'this node has taken over from one that is no more',
    )
  }

  adoptionFailed(node: string, error: Error): void {
    this.log.error(
      'adoption_failed',
      node,
      { other: node, ...errorFields(error) },
      'what a node has left behind could not be taken over yet',
    )
  }

  expelled(self: string): void {
    this.others = 0
    this.expulsions.count++
    this.log.error(
      'node_expelled',
      self,
      { self },
      'the others took this node for dead: it lets go of everything and joins again',
    )
  }

  rejoinFailed(error: Error): void {
    this.log.error('rejoin_failed', '', errorFields(error), 'this node could not join again yet')
  }

  leaseNotRenewed(error: Error): void {
    this.log.warn(
      'lease_not_renewed',
      '',
      errorFields(error),
      'Redis does not take the lease of this node; it is tried again',
    )
  }

  leaseRenewed(): void {
    this.log.info('lease_renewed', '', {}, 'the lease of this node is renewed again')
  }

  leaseDamaged(key: string): void {
    this.damaged.count++
    this.log.error(
      'lease_damaged',
      key,
      { key: printable(key) },
      'a value that nodes keep of each other cannot be used and was removed',
    )
  }

  watcherFailed(error: Error): void {
    this.log.error('membership_watcher_failed', '', errorFields(error), 'a change of nodes was not seen to')
  }
}
