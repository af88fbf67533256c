import type { Socket } from 'node:net'
import { systemClock } from '../../contract/clock.js'
import { GatewayError } from '../../contract/errors.js'
import { buildGateway, type GatewayProcess } from '../gateway.js'
import { HandedSockets } from './handed-sockets.js'
import type { FromWorker, ToWorker } from './protocol.js'

/**
 * A worker process: a gateway whose sockets are accepted by the process that has started it, and that does what that
 * one says. It ends with it.
 */

/** Between two looks at how it is, milliseconds. */
const LOOK_EVERY_MS = 250

let gateway: GatewayProcess | undefined
let sockets: HandedSockets | undefined

// A terminal and a service manager signal the whole group; the listening process sees to the order of things.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

process.on('message', (message: ToWorker, socket?: Socket) => {
  if (message.kind === 'socket') sockets?.take(message.listener, message.id, socket)
  else obey(message).catch(fail)
})
// The listening process is no more: whoever is connected here finds another node, or the next process.
process.on('disconnect', () => {
  stop().catch(fail)
})

async function obey(message: Exclude<ToWorker, { kind: 'socket' }>): Promise<void> {
  switch (message.kind) {
    case 'start':
      await start(message)
      break
    case 'lead':
      await gateway?.lead()
      break
    case 'ended':
      await gateway?.nodeEnded(message.node)
      break
    case 'drain':
      await gateway?.drain()
      if (gateway !== undefined) tellState(gateway)
      send({ kind: 'drained' })
      break
    case 'stop':
      await stop()
      break
    case 'metrics':
      send({ kind: 'metrics', request: message.request, metrics: (await gateway?.metrics()) ?? [] })
      break
  }
}

async function start({ config, configSource }: ToWorker & { kind: 'start' }): Promise<void> {
  sockets = new HandedSockets(systemClock, send)
  gateway = await buildGateway(config, {
    environment: process.env,
    ...(configSource !== undefined && { configSource }),
    worker: { sockets },
  })
  await gateway.start()
  const started = gateway
  tellState(started)
  setInterval(() => tellState(started), LOOK_EVERY_MS).unref()
  send({ kind: 'ready' })
}

async function stop(): Promise<void> {
  await gateway?.stop()
  process.exit(0)
}

let told = ''

/** Tells how it is, if that has changed. */
function tellState(watched: GatewayProcess): void {
  const state = { services: watched.readiness(), clients: watched.clients(), node: watched.node() }
  const now = JSON.stringify(state)
  if (now === told) return
  told = now
  send({ kind: 'state', ...state })
}

/** Ends the process: the one that has started it tells why, or starts another one. */
function fail(error: unknown): void {
  const known = error instanceof GatewayError
  const failure = known
    ? { code: error.code, message: error.message, hint: error.hint }
    : {
        code: 'INTERNAL' as const,
        message: error instanceof Error ? (error.stack ?? error.message) : String(error),
        hint: undefined,
      }
  if (process.connected)
    process.send?.({ kind: 'failed', failure } satisfies FromWorker, () => process.exit(1))
  else process.exit(1)
}

function send(message: FromWorker): void {
  // With the channel closed `disconnect` has been told, too.
  if (process.connected) process.send?.(message)
}
