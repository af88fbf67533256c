import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import mqttPacket, { type Packet } from 'mqtt-packet'
import { createWebSocketStream, WebSocketServer, type WebSocket } from 'ws'

/** What arrived, in order. */
export interface Arrived {
  readonly clientId: string
  readonly topic: string
  readonly payload: Buffer
  readonly retain: boolean
}

/**
 * The far side of a fleet in tests: MQTT over WebSocket on a free port of 127.0.0.1, as much of it as publishers
 * see. It can refuse, hold back acknowledgements, and go away and come back on its port.
 */
export class TestBroker {
  readonly arrived: Arrived[] = []
  /** Last retained message of each status topic, wills included. */
  readonly retained = new Map<string, string>()
  readonly connected = new Set<string>()
  /** Clients that said DISCONNECT. */
  readonly departed = new Set<string>()
  connects = 0
  connackCode = 0
  acknowledges = true
  lastPassword: string | undefined
  private server: Server | undefined
  private port = 0
  private readonly sockets = new Map<WebSocket, string>()
  private readonly watchers = new Set<() => void>()

  get url(): URL {
    return new URL(`ws://127.0.0.1:${this.port}/mqtt`)
  }

  /** Devices that have had their CONNACK: they say `online` right after it. */
  get online(): number {
    return [...this.retained.values()].filter((status) => status === 'online').length
  }

  async start(): Promise<void> {
    this.server = createServer()
    const sockets = new WebSocketServer({ server: this.server, path: '/mqtt' })
    sockets.on('connection', (socket) => this.serve(socket))
    this.server.listen(this.port, '127.0.0.1')
    await once(this.server, 'listening')
    this.port = (this.server.address() as AddressInfo).port
  }

  /** Cuts every connection and frees the port, as a crash does. */
  async stop(): Promise<void> {
    const { server } = this
    if (server === undefined) return
    this.server = undefined
    const closed = once(server, 'close')
    server.close()
    for (const socket of this.sockets.keys()) socket.terminate()
    server.closeAllConnections()
    await closed
  }

  /** Tells a client that another one has taken its session, and closes. */
  takeOver(clientId: string): void {
    for (const [socket, id] of this.sockets) {
      if (id !== clientId) continue
      socket.send(mqttPacket.generate({ cmd: 'disconnect', reasonCode: 0x8e }, { protocolVersion: 5 }))
      socket.close()
    }
  }

  /** Resolves when the condition holds; looked at after everything that happens here. */
  async until(condition: () => boolean): Promise<void> {
    if (condition()) return
    await new Promise<void>((resolve) => {
      const watch = (): void => {
        if (!condition()) return
        this.watchers.delete(watch)
        resolve()
      }
      this.watchers.add(watch)
    })
  }

  private serve(socket: WebSocket): void {
    const stream = createWebSocketStream(socket)
    const parser = mqttPacket.parser()
    let clientId = ''
    let version = 4
    let will: { topic: string; payload: string } | undefined
    const send = (packet: Packet): void => {
      if (!stream.destroyed) stream.write(mqttPacket.generate(packet, { protocolVersion: version }))
    }
    parser.on('packet', (packet) => {
      switch (packet.cmd) {
        case 'connect':
          clientId = packet.clientId
          version = packet.protocolVersion ?? 4
          will = packet.will && { topic: packet.will.topic, payload: String(packet.will.payload) }
          this.lastPassword = packet.password?.toString()
          this.connects++
          send(
            version === 5
              ? { cmd: 'connack', reasonCode: this.connackCode, sessionPresent: false }
              : { cmd: 'connack', returnCode: this.connackCode, sessionPresent: false },
          )
          if (this.connackCode === 0) {
            this.connected.add(clientId)
            this.sockets.set(socket, clientId)
          }
          break
        case 'publish':
          if (packet.retain) this.retained.set(packet.topic, String(packet.payload))
          this.arrived.push({ clientId, ...packet, payload: Buffer.from(packet.payload) })
          if (packet.qos === 1 && this.acknowledges) send({ cmd: 'puback', messageId: packet.messageId ?? 0 })
          break
        case 'pingreq':
          send({ cmd: 'pingresp' })
          break
        case 'disconnect':
          will = undefined
          this.departed.add(clientId)
          socket.close()
          break
        default:
          stream.destroy()
      }
      this.changed()
    })
    stream.on('data', (bytes: Buffer) => parser.parse(bytes))
    stream.on('error', () => stream.destroy())
    socket.on('close', () => {
      if (will !== undefined) this.retained.set(will.topic, will.payload)
      this.sockets.delete(socket)
      this.connected.delete(clientId)
      this.changed()
    })
  }

  private changed(): void {
    for (const watch of this.watchers) watch()
  }
}
