import { createRequire } from 'node:module'

interface Parser {
  on(event: 'packet', listener: (packet: object) => void): void
  on(event: 'error', listener: (error: Error) => void): void
  parse(bytes: Buffer): void
}

const { parser } = createRequire(import.meta.url)('mqtt-packet') as {
  parser: (options: { protocolVersion: number }) => Parser
}

/** The packets that mqtt-packet, the codec of mqtt.js, reads: the reference for what is encoded here. */
export function parseAsClient(bytes: Buffer, protocolVersion: number): object[] {
  const packets: object[] = []
  const reading = parser({ protocolVersion })
  reading.on('packet', (packet) => packets.push(packet))
  reading.on('error', (error) => {
    throw error
  })
  reading.parse(bytes)
  return packets
}
