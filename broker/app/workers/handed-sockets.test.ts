import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { expect, it } from 'vitest'
import { ManualClock } from '../../contract/testing/manual-clock.js'
import { HandedSockets } from './handed-sockets.js'
import type { FromWorker } from './protocol.js'

function socket(): Socket {
  const fake = Object.assign(new EventEmitter(), { destroyed: false, destroy: () => fake.emit('close') })
  return fake as unknown as Socket
}

it('gives sockets to their listeners, and tells what it has taken and what has ended, many at a time', async () => {
  const clock = new ManualClock()
  const told: FromWorker[] = []
  const sockets = new HandedSockets(clock, (message) => told.push(message))
  const opened: Socket[] = []
  sockets.open('mqtt', (one) => opened.push(one))
  for (const id of [1, 2, 3]) sockets.take('mqtt', id, socket())
  // The peer was gone before it was here; a listener that this worker does not have.
  sockets.take('mqtt', 4, undefined)
  sockets.take('web', 5, socket())
  await new Promise(setImmediate)
  expect(told.splice(0)).toEqual([{ kind: 'taken', ids: [1, 2, 3, 4, 5] }])
  expect(opened).toHaveLength(3)

  opened[0]?.destroy()
  clock.advance(50)
  expect(told.splice(0)).toEqual([{ kind: 'closed', connections: { mqtt: 2, web: 1 } }])
  opened[1]?.destroy()
  clock.advance(50)
  expect(told).toEqual([{ kind: 'closed', connections: { mqtt: 1 } }])
  expect(clock.pendingTimers).toBe(0)
})
