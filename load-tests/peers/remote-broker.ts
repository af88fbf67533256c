import type { Endpoint } from '../client/endpoint.js'
import type { Broker } from './broker.js'

/** A broker that runs already. `pid`: its process, when it is one of this machine. */
export function remoteBroker(endpoint: Endpoint, pid: number | undefined): Broker {
  return {
    name: 'target',
    version: 'unknown',
    settings: '',
    pids: () => (pid === undefined ? [] : [pid]),
    redisPid: () => undefined,
    endpoint: () => endpoint,
    receiverEndpoints: () => [endpoint],
    stop: () => Promise.resolve(),
  }
}
