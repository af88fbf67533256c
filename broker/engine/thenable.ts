import type { Thenable } from './aedes-internals.js'

/**
 * Promises without the promise. Aedes calls `.then(resolved, rejected)` on what persistence returns and nothing
 * else; a real promise would cost two microtask turns a step and break the order within a tick.
 */
export function resolved<T>(value: T): Thenable<T> {
  return { then: (resolve) => resolve(value) }
}

export function rejected(error: Error): Thenable<never> {
  return { then: (_, reject) => reject(error) }
}

/** Settled later, or before anybody asks. Calls back synchronously, to the one listener that there is. */
export class Deferred implements Thenable<undefined> {
  private resolve: ((value: undefined) => void) | undefined = undefined
  private reject: ((error: Error) => void) | undefined = undefined
  private settled = false
  private error: Error | undefined = undefined

  then(resolve: (value: undefined) => void, reject: (error: Error) => void): void {
    this.resolve = resolve
    this.reject = reject
    if (this.settled) this.tell()
  }

  settle(error: Error | undefined): void {
    this.settled = true
    this.error = error
    this.tell()
  }

  private tell(): void {
    if (this.error === undefined) this.resolve?.(undefined)
    else this.reject?.(this.error)
  }
}
