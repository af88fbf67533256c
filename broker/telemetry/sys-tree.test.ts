import { expect, it } from 'vitest'
import { SysTree, type SysReadings } from './sys-tree.js'
import { ManualClock } from '../contract/testing/manual-clock.js'

const NOTHING: SysReadings = {
  bytesReceived: 0,
  bytesSent: 0,
  connections: 0,
  publishReceived: 0,
  publishSent: 0,
  publishDropped: 0,
  publishBytesReceived: 0,
  publishBytesSent: 0,
  clientsConnected: 0,
  sessions: 0,
  sessionsExpired: 0,
  subscriptions: 0,
  retainedMessages: 0,
  heapBytes: 0,
}

it('publishes under the names of Mosquitto, again only what has changed, and averages by the minute', async () => {
  const clock = new ManualClock()
  let readings = { ...NOTHING, sessions: 3, clientsConnected: 2 }
  let round: Record<string, string> = {}
  const publish = (topic: string, value = '') => {
    round[topic] = value
  }
  const tree = new SysTree({ version: '1.2.3', intervalSeconds: 10, clock, read: () => readings, publish })
  await tree.start()
  expect(round).toMatchObject({
    '$SYS/broker/version': '1.2.3',
    '$SYS/broker/uptime': '0 seconds',
    '$SYS/broker/clients/connected': '2',
    '$SYS/broker/clients/disconnected': '1',
    '$SYS/broker/load/publish/received/1min': '0.00',
  })

  round = {}
  readings = { ...readings, publishReceived: 600, clientsConnected: 1 }
  clock.advance(10_000)
  expect(round).toEqual({
    '$SYS/broker/uptime': '10 seconds',
    '$SYS/broker/clients/connected': '1',
    '$SYS/broker/clients/disconnected': '2',
    '$SYS/broker/publish/messages/received': '600',
    // 600 in ten seconds are 3,600 a minute, of which 1 - e^(-10/60) count after one interval.
    '$SYS/broker/load/publish/received/1min': '552.67',
    '$SYS/broker/load/publish/received/5min': '118.02',
    '$SYS/broker/load/publish/received/15min': '39.78',
  })

  round = {}
  await tree.stop()
  clock.advance(60_000)
  expect(round).toEqual({})
})

it('tells how long it runs, whatever the wall clock is set to', async () => {
  const clock = new ManualClock()
  let uptime = ''
  const publish = (topic: string, value = '') => {
    if (topic === '$SYS/broker/uptime') uptime = value
  }
  const tree = new SysTree({ version: '1.2.3', intervalSeconds: 10, clock, read: () => NOTHING, publish })
  await tree.start()
  clock.setWallClock(-3_600_000)
  clock.advance(20_000)
  expect(uptime).toBe('20 seconds')
  await tree.stop()
})

it('gives each of several nodes a tree of its own, renews it for it expires, and removes it at the end', async () => {
  const clock = new ManualClock()
  const retained = new Map<string, string>()
  let published = 0
  const publish = (topic: string, value: string | undefined) => {
    published++
    if (value === undefined) retained.delete(topic)
    else retained.set(topic, value)
  }
  const options = { version: '1.2.3', intervalSeconds: 10, clock, read: () => NOTHING, publish }
  const tree = new SysTree({ ...options, node: 'a' })
  await tree.start()
  const first = published
  expect(retained.get('$SYS/brokers/a/version')).toBe('1.2.3')
  clock.advance(10_000)
  expect(published).toBe(2 * first)
  await tree.stop()
  expect(retained.size).toBe(0)
})
