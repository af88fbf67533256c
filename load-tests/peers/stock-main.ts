import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { Aedes } from 'aedes'
import redisPersistence from 'aedes-persistence-redis'
import mqemitterRedis from 'mqemitter-redis'
import websocketStream from 'websocket-stream'

/** Argument of this program, as JSON. */
export interface StockSettings {
  readonly ws: number
  readonly tcp: number
  /** Port of a Redis on this machine; undefined: everything in memory. */
  readonly redis: number | undefined
}

const host = '127.0.0.1'
const settings = JSON.parse(process.argv[2] ?? '') as StockSettings
const { redis } = settings
// Without options Aedes takes aedes-persistence (memory) and mqemitter by itself.
const broker = await Aedes.createBroker(
  redis === undefined
    ? {}
    : {
        persistence: redisPersistence({ host, port: redis }),
        mq: mqemitterRedis({ host, port: redis }),
      },
)

const web = createHttpServer()
websocketStream.createServer({ server: web }, (stream, request) => broker.handle(stream, request))
web.listen(settings.ws, host)
createServer((socket) => broker.handle(socket)).listen(settings.tcp, host)

process.once('SIGTERM', () => process.exit())
