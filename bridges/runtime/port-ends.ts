import type { MessagePort } from 'node:worker_threads'
import type { PortEnd } from '../../broker/contract/port.js'

/** The end of a port whose other end is in another thread. */
export function threadPortEnd(port: MessagePort): PortEnd {
  return {
    send: (frame) => {
      port.postMessage(frame, [frame])
    },
    receive: (listener) => {
      port.on('message', listener)
    },
    close: () => {
      port.close()
    },
  }
}

/** Two ends of a port in one thread: the same order and the same hand-over of buffers as between threads. */
export function localPortEnds(defer: (task: () => void) => void): readonly [PortEnd, PortEnd] {
  const left = new LocalEnd(defer)
  const right = new LocalEnd(defer)
  left.other = right
  right.other = left
  return [left, right]
}

class LocalEnd implements PortEnd {
  other: LocalEnd | undefined
  private listener: ((frame: ArrayBuffer) => void) | undefined

  constructor(private readonly defer: (task: () => void) => void) {}

  send(frame: ArrayBuffer): void {
    const moved = structuredClone(frame, { transfer: [frame] })
    this.defer(() => this.other?.listener?.(moved))
  }

  receive(listener: (frame: ArrayBuffer) => void): void {
    this.listener = listener
  }

  close(): void {
    this.listener = undefined
    this.other = undefined
  }
}
