import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import type { ListenerConfig } from '../../../config/schema.js'
import type { TransportEvents } from '../../contract/events.js'
import { Front } from './front.js'

const toClose: (() => void)[] = []
afterEach(() => {
  for (const close of toClose.splice(0).reverse()) close()
})

interface Handed {
  readonly listener: string
  readonly socket: Socket
}

async function frontOf(maxConnections: number, takes = () => true) {
  const handed: Handed[] = []
  const told: string[] = []
  const events = {
    listening: (listener: string, address: string) => void told.push(`${listener} at ${address}`),
    connectionRefused: (listener: string, address: string, reason: string) =>
      void told.push(`${listener}: ${address} refused: ${reason}`),
  } as unknown as TransportEvents
  const pool = {
    hand: (listener: string, socket: Socket) => takes() && handed.push({ listener, socket }) > 0,
    connections: (listener?: string) => handed.filter((one) => one.listener === listener).length,
  }
  const listener: ListenerConfig = { name: 'mqtt', type: 'tcp', host: '127.0.0.1', port: 0, maxConnections }
  const front = new Front([listener], pool, events)
  toClose.push(() => {
    front.stopAccepting()
    for (const { socket } of handed) socket.destroy()
  })
  await front.start()
  const port = Number(told.shift()?.split(':').at(-1))
  return { front, handed, told, port }
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => {})
  toClose.push(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

it('hands connections over with every byte unread', async () => {
  const { handed, port } = await frontOf(10)
  const client = await open(port)
  client.write('CONNECT')
  while (handed.length === 0) await new Promise(setImmediate)
  const socket = handed[0]?.socket
  expect([socket?.bytesRead, socket?.readableLength, socket?.isPaused()]).toEqual([0, 0, true])
  socket?.resume()
  expect(String((await once(socket as Socket, 'data'))[0])).toBe('CONNECT')
})

it('refuses what is above the number of connections, and what nobody takes', async () => {
  let taking = true
  const { told, handed, port } = await frontOf(1, () => taking)
  await open(port)
  while (handed.length === 0) await new Promise(setImmediate)
  await once(await open(port), 'close')
  expect(told).toEqual(['mqtt: 127.0.0.1 refused: too_many_connections'])
  handed.splice(0)[0]?.socket.destroy()
  taking = false
  await once(await open(port), 'close')
  expect(told).toHaveLength(2)
})

it('takes no more connections when it has stopped, and leaves those that it has handed over', async () => {
  const { front, handed, port } = await frontOf(10)
  await open(port)
  while (handed.length === 0) await new Promise(setImmediate)
  front.stopAccepting()
  await expect(open(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  expect(handed[0]?.socket.destroyed).toBe(false)
})
