import { expect, it } from 'vitest'
import type { MembershipWatcher } from '../../contract/cluster.js'
import { ManualClock } from '../../contract/testing/manual-clock.js'
import { ClientIdLock } from '../client-id-lock.js'
import type { ClusterLinks } from './cluster-links.js'
import { SessionCluster, type SessionClusterParts } from './session-cluster.js'
import { connect, FakeSharedStore, fakeRouter } from './testing.js'

function expellable() {
  const { table } = fakeRouter()
  const lock = new ClientIdLock()
  let watcher: MembershipWatcher = {}
  const links = {
    store: new FakeSharedStore().asStore,
    membership: { watch: (given: MembershipWatcher) => void (watcher = given) },
    bus: { listen: () => {} },
  }
  const cluster = new SessionCluster(
    links as unknown as ClusterLinks,
    {
      table,
      sessions: { lock },
      wills: { stop: () => {} },
      claims: { forgetAll: () => {} },
      clock: new ManualClock(),
      onDefect: (error: unknown) => expect.fail(String(error)),
    } as unknown as SessionClusterParts,
  )
  return { cluster, table, lock, expel: async () => watcher.expelled?.() }
}

it('lets go of nobody too early: a CONNECT that is under way when the node is expelled ends first', async () => {
  const { cluster, table, lock, expel } = expellable()
  const ended: string[] = []
  let claimed = (): void => {}
  const connecting = lock.run('c', async () => {
    await new Promise<void>((resolve) => (claimed = resolve))
    const connection = {
      end: () => ended.push('end'),
      release: () => {
        ended.push('release')
        table.leave(client)
        return Promise.resolve()
      },
    }
    const client = Object.assign(connect(table, 'c'), { connection })
  })
  const expelled = expel().then(() => ended.push('expelled'))
  expect(cluster.suspended).toBe(true)
  await new Promise((resolve) => setImmediate(resolve))
  claimed()
  await connecting
  await expelled
  expect(ended).toEqual(['end', 'release', 'expelled'])
})
