import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { unique, useGateway } from './harness/gateway.js'
import { RawClient } from './harness/raw-client.js'

/** A proxy on this machine in front of a gateway that lets local clients in without credentials. */
const gateway = useGateway({
  listeners: [{ name: 'tcp', type: 'tcp', port: 0, proxyProtocol: { trusted: ['127.0.0.1'] } }],
  auth: { anonymous: 'loopback' },
})

async function connectAs(address: string): Promise<RawClient> {
  const socket = connect(gateway.port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write(`PROXY TCP4 ${address} 127.0.0.1 50000 1883\r\n`)
  return new RawClient(socket).connect({ clientId: unique('c') })
}

describe('anonymous: loopback behind a local proxy', () => {
  it('lets clients of this machine in', async () => {
    const client = await connectAs('127.0.0.1')
    expect(client.connack.reasonCode).toBe(0)
    await client.disconnect()
  })

  it('is closed to the world', async () => {
    const client = await connectAs('192.0.2.7')
    expect(client.connack.reasonCode).toBe(0x87)
    await client.closedByPeer()
  })
})
