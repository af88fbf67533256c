import type { Interest, Membership, NodeBus } from '../../contract/cluster.js'
import type { SharedStore } from '../../contract/store.js'

/** What sessions need of a cluster: absent where the store belongs to one process. */
export interface ClusterLinks {
  /** The `store` of the session layer. */
  readonly store: SharedStore
  readonly membership: Membership
  readonly bus: NodeBus
  readonly interest: Interest
}
