import type { Socket } from 'node:net'
import { isLoopbackAddress } from '../contract/loopback.js'
import { normalizeAddress } from './address.js'

/** Who is at the other end of a socket: whoever has opened it or, behind a proxy, whoever the proxy speaks for. */
export interface Peer {
  readonly address: string
  readonly port: number
  /** Whether that is a client on this machine. */
  readonly loopback: boolean
}

/** Undefined for a socket that has been closed. */
export function peerOf(socket: Socket): Peer | undefined {
  return reported.get(socket) ?? directPeer(socket)
}

/** For log lines: an empty string where the address is no longer known. */
export function peerAddress(socket: Socket): string {
  return peerOf(socket)?.address ?? ''
}

/** Notes what a trusted proxy has said of a socket. */
export function setPeer(socket: Socket, peer: Peer): void {
  reported.set(socket, peer)
}

/** Whoever has opened the socket, whatever has been said of it. */
export function directPeer({ remoteAddress, remotePort }: Socket): Peer | undefined {
  if (remoteAddress === undefined || remotePort === undefined) return undefined
  const address = normalizeAddress(remoteAddress)
  return { address, port: remotePort, loopback: isLoopbackAddress(address) }
}

const reported = new WeakMap<Socket, Peer>()
