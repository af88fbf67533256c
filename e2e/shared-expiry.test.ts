import { describe, expect, it } from 'vitest'
import { unique, useGateway } from './harness/gateway.js'

describe.each(['memory', 'level'] as const)('a member of a share group whose session ends (%s)', (type) => {
  const gateway = useGateway({ store: { type } })

  it.each([
    ['expires', 5],
    ['is replaced by a clean start', 100],
  ])('leaves what it has not acknowledged to the others: it %s', async (how, sessionExpiryInterval) => {
    const topic = unique('shared')
    const filter = `$share/group/${topic}`
    const first = await gateway.connect({
      clientId: `${topic}-first`,
      properties: { sessionExpiryInterval, receiveMaximum: 2 },
    })
    await first.subscribe(filter, 1)
    const publisher = await gateway.connect()
    const texts = Array.from({ length: 10 }, (_, i) => String(i))
    for (const text of texts) await publisher.publishAcknowledged(topic, text, { qos: 1 })
    await first.nextPayloads(2)

    const second = await gateway.connect({ properties: { sessionExpiryInterval: 100 } })
    await second.subscribe(filter, 1)
    await first.abort()
    if (how === 'expires') {
      await expect.poll(() => gateway.log.some(({ event }) => event === 'client_disconnected')).toBe(true)
      gateway.clock.skip(6)
    } else {
      await gateway.connect({ clientId: `${topic}-first`, clean: true })
    }
    expect((await second.nextPayloads(10)).sort()).toEqual(texts)
  })
})
