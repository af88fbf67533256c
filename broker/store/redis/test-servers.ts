import { afterEach } from 'vitest'
import type { RedisConfig } from '../../../config/schema.js'
import type { RedisStore } from './redis-store.js'
import { openableStore, startRedis, type RedisServer, type StoreOnServers } from './testing.js'

export interface TestServers {
  /** What else is to end behind the test; what was named last ends first. */
  readonly release: (...tasks: readonly (() => Promise<unknown>)[]) => void
  readonly redis: (...args: readonly string[]) => Promise<RedisServer>
  readonly opened: (
    server: Pick<RedisServer, 'port'>,
    fields?: Partial<RedisConfig>,
  ) => Promise<StoreOnServers>
}

/** Servers and opened stores for the tests of a file, which end behind the test that asked for them. */
export function useServers(): TestServers {
  const releases: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const release of releases.splice(0).reverse()) await release()
  })
  return {
    release: (...tasks) => void releases.push(...tasks),
    async redis(...args) {
      const server = await startRedis(args)
      releases.push(() => server.stop())
      return server
    },
    async opened(server, fields = {}) {
      const on = openableStore([server as RedisServer], fields)
      await on.store.open()
      releases.push(async () => {
        await on.store.close()
        await on.end()
      })
      return on
    },
  }
}

/** Why it is not ready; '' when it is. */
export function reasonOf(store: RedisStore): string {
  const readiness = store.readiness()
  return readiness.ready ? '' : readiness.reason
}
