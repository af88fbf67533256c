import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { describeWith } from '../../../e2e/harness/programs.js'
import { expect, it } from 'vitest'
import type { SessionChange } from '../../contract/store.js'
import { keep, subscription } from '../conformance/bench.js'
import { useServers } from './test-servers.js'
import { until, type RedisServer } from './testing.js'

const { release, redis, opened } = useServers()

/** In front of a Redis; cuts the connection instead of forwarding a `SUBSCRIBE`, so often. */
async function cutting(server: RedisServer) {
  const sockets = new Set<Socket>()
  const proxy = {
    port: 0,
    cuts: 0,
    asked: 0,
    cutAll: () => {
      for (const socket of sockets) socket.destroy()
    },
  }
  const listening = createServer((socket) => {
    const redis = connect(server.port, '127.0.0.1')
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => redis.destroy())
    redis.on('error', () => {}).on('close', () => socket.destroy())
    redis.pipe(socket)
    socket.on('data', (bytes) => {
      if (!bytes.includes('subscribe')) return void redis.write(bytes)
      proxy.asked++
      if (proxy.cuts-- > 0) socket.destroy()
      else redis.write(bytes)
    })
  })
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
  proxy.port = (listening.address() as AddressInfo).port
  release(async () => {
    proxy.cutAll()
    await new Promise((resolve) => listening.close(resolve))
  })
  return proxy
}

describeWith('a connection to Redis', ['redis-server'], () => {
  it('that is cut while it is subscribing again subscribes once more, and ends nothing', async () => {
    const server = await redis()
    const proxy = await cutting(server)
    const { store } = await opened(proxy)
    const other = await opened(server)
    const changes: SessionChange[] = []
    await store.follow({ changed: (change) => void changes.push(change), missed: () => {} })
    expect(proxy.asked).toBe(1)
    proxy.cuts = 2
    proxy.cutAll()
    // A rejection that nobody hears of would end the process, and fails the test.
    await until(() => proxy.asked === 4)
    const session = await other.store.openSession('c', keep)
    await session.subscribe([subscription('a')])
    await until(() => changes.length > 0)
  })
})
