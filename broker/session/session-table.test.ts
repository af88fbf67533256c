import fc from 'fast-check'
import { expect, it } from 'vitest'
import { connect, fakeRouter } from './cluster/testing.js'
import { VolatileQueue } from './delivery-queue.js'
import type { SessionClient } from './session-table.js'

it('counts the clients that are connected, whatever becomes of their sessions', () => {
  const clientIds = fc.constantFrom('a', 'b', 'c')
  const actions = fc.constantFrom(
    'connect',
    'volatile',
    'leave',
    'leave late',
    'add',
    'follow',
    'remove',
    'clear',
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(actions, clientIds), { maxLength: 30 }), (steps) => {
      const { table } = fakeRouter()
      const former: SessionClient[] = []
      for (const [action, clientId] of steps) {
        const client = table.clientOf(clientId)
        const session = table.find(clientId)
        switch (action) {
          case 'connect':
            former.push(connect(table, clientId))
            break
          case 'volatile': {
            const queue = new VolatileQueue({ messages: 1, bytes: 1, whenFull: 'refuse-new' }, () => {})
            table.hold({ clientId, session: table.volatile(clientId, queue) } as SessionClient)
            break
          }
          case 'leave':
            if (client !== undefined) table.leave(client)
            break
          case 'leave late':
            for (const one of former) if (one.clientId === clientId && one !== client) table.leave(one)
            break
          case 'add':
            table.add(clientId, [])
            break
          case 'follow':
            table.follow(clientId)
            break
          case 'remove':
            if (session !== undefined) table.remove(session)
            break
          case 'clear':
            table.clear()
        }
        expect(table.clientCount).toBe([...table.clients()].length)
      }
    }),
  )
})
