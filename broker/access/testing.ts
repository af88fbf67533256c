import type { AccessEvents } from '../contract/events.js'
import type { Credentials } from '../contract/principal.js'

export function credentials(fields: Partial<Credentials> = {}): Credentials {
  return {
    clientId: 'c1',
    username: undefined,
    password: undefined,
    bearerToken: undefined,
    certificateName: undefined,
    remoteAddress: '192.0.2.1',
    loopback: false,
    listener: 'mqtt',
    ...fields,
  }
}

/** Events as lines. */
export class RecordedEvents implements AccessEvents {
  readonly lines: string[] = []

  authenticatorFailed(name: string, error: Error): void {
    this.lines.push(`failed ${name}: ${error.message}`)
  }

  keysLoaded(name: string, count: number): void {
    this.lines.push(`keys ${name}: ${count}`)
  }

  keysUnavailable(name: string, error: Error, keysHeld: number, retryInMs: number): void {
    this.lines.push(`unavailable ${name}: ${error.message}; ${keysHeld} held, again in ${retryInMs} ms`)
  }
}

/** Lets everything run that is due without time passing. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
