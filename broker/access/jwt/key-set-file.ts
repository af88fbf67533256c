import { readFile } from 'node:fs/promises'
import type { JWTVerifyGetKey } from 'jose'
import type { AccessEvents } from '../../contract/events.js'
import type { Readiness } from '../../contract/service.js'
import { readKeySet, type KeySet } from './key-set.js'
import { keysUnreadable } from '../keys-unreadable.js'
import type { VerificationKeys } from './verification-keys.js'

/** A key set in a file; read once, when the gateway starts. */
export class KeySetFile implements VerificationKeys {
  private keySet: KeySet | undefined

  constructor(
    private readonly name: string,
    private readonly path: string,
    private readonly algorithms: readonly string[],
    private readonly events: Pick<AccessEvents, 'keysLoaded'>,
  ) {}

  async open(): Promise<void> {
    try {
      this.keySet = await readKeySet(await readFile(this.path, 'utf8'), this.algorithms)
    } catch (error) {
      throw keysUnreadable(this.path, error)
    }
    this.events.keysLoaded(this.name, this.keySet.count)
  }

  close(): Promise<void> {
    this.keySet = undefined
    return Promise.resolve()
  }

  readonly keyFor: JWTVerifyGetKey = (header, token) => {
    if (this.keySet === undefined) throw keysUnreadable(this.path, new Error('not read yet'))
    return this.keySet.keyFor(header, token)
  }

  readiness(): Readiness {
    return { ready: true }
  }
}
