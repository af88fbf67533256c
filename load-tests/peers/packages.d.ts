/** Packages of the stock stack that bring no types; what is used of them. */

declare module 'websocket-stream' {
  import type { IncomingMessage, Server } from 'node:http'
  import type { Duplex } from 'node:stream'

  const websocketStream: {
    createServer(
      options: { readonly server: Server },
      onStream: (stream: Duplex, request: IncomingMessage) => void,
    ): unknown
  }
  export default websocketStream
}

declare module 'aedes-persistence-redis' {
  import type { AedesPersistence } from 'aedes-persistence'

  /** Options beside its own go to ioredis. */
  export default function redisPersistence(options: {
    readonly host: string
    readonly port: number
  }): AedesPersistence
}
