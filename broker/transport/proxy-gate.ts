import { BlockList, isIPv4, type Socket } from 'node:net'
import type { ProxyProtocolConfig } from '../../config/schema.js'
import type { Clock } from '../contract/clock.js'
import type { HandshakeRefusal } from '../contract/events.js'
import { isLoopbackAddress } from '../contract/loopback.js'
import { directPeer, setPeer, type Peer } from './peer.js'
import { readProxyHeader } from './proxy-header.js'

export interface ProxyGateOptions {
  readonly trusted: ProxyProtocolConfig['trusted']
  readonly clock: Clock
  /** For the whole header, milliseconds. */
  readonly timeoutMs: number
  readonly onRefused: (address: string, reason: HandshakeRefusal) => void
}

/**
 * Takes the PROXY protocol header from sockets before anything else reads them. Only trusted addresses may say who
 * they speak for, and they have to: a port where the header were optional would let every client choose its address,
 * or take a proxy that has forgotten its setting for the client. Everybody else is refused.
 */
export class ProxyGate {
  private readonly trusted = new BlockList()
  private readonly waiting = new Set<Socket>()

  constructor(
    private readonly options: ProxyGateOptions,
    /** Gets each socket whose header has been read; the client's first bytes are unread. */
    private readonly onAdmitted: (socket: Socket, peer: Peer) => void,
  ) {
    for (const range of options.trusted) addRange(this.trusted, range)
  }

  admit(socket: Socket): void {
    const proxy = directPeer(socket)
    if (proxy === undefined) {
      socket.destroy()
      return
    }
    if (!this.trusted.check(proxy.address, familyOf(proxy.address))) {
      this.refuse(socket, proxy, 'untrusted_proxy')
      return
    }
    this.waiting.add(socket)
    const { clock, timeoutMs } = this.options
    const deadline = clock.schedule(timeoutMs, () => this.refuse(socket, proxy, 'handshake_timeout'))
    let bytes: Buffer = NOTHING
    // Pulled, not pushed: what is put back is there for the next reader, whatever it is (TLS, HTTP, MQTT).
    const onReadable = (): void => {
      const chunk = socket.read() as Buffer | null
      if (chunk === null) return
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
      const header = readProxyHeader(bytes)
      if (header.state === 'incomplete') return
      leave()
      if (header.state === 'malformed') {
        this.refuse(socket, proxy, 'proxy_header')
        return
      }
      if (bytes.length > header.length) socket.unshift(bytes.subarray(header.length))
      const peer = clientOf(header.client, proxy)
      setPeer(socket, peer)
      this.onAdmitted(socket, peer)
    }
    const onEnd = (): void => {
      // A peer that says nothing has looked whether the port is open.
      if (bytes.length > 0) this.refuse(socket, proxy, 'proxy_header')
      else socket.destroy()
    }
    const leave = (): void => {
      deadline.cancel()
      this.waiting.delete(socket)
      socket.removeListener('readable', onReadable)
      socket.removeListener('end', onEnd)
      socket.removeListener('close', leave)
    }
    socket.on('readable', onReadable)
    socket.on('end', onEnd)
    socket.on('close', leave)
  }

  /** Closes the sockets whose header has not come yet. */
  closeWaiting(): void {
    for (const socket of this.waiting) socket.destroy()
  }

  private refuse(socket: Socket, proxy: Peer, reason: HandshakeRefusal): void {
    this.options.onRefused(proxy.address, reason)
    socket.destroy()
  }
}

const NOTHING = Buffer.alloc(0)

/**
 * The client of a proxied connection. It is on this machine when proxy and client both are: another machine's
 * `127.0.0.1`, and a client that the proxy cannot name, get nothing that is meant for local clients.
 */
function clientOf(
  client: { readonly address: string; readonly port: number } | undefined,
  proxy: Peer,
): Peer {
  if (client === undefined) return { ...proxy, loopback: false }
  const { address, port } = client
  // Written out: with a spread each of them has a hidden class of its own, which is 200 bytes a connection.
  return { address, port, loopback: proxy.loopback && isLoopbackAddress(address) }
}

/** `10.0.0.0/8` or a single address; the configuration has checked it. */
function addRange(list: BlockList, range: string): void {
  const [address = '', prefix] = range.split('/')
  if (prefix === undefined) list.addAddress(address, familyOf(address))
  else list.addSubnet(address, Number(prefix), familyOf(address))
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv4(address) ? 'ipv4' : 'ipv6'
}
