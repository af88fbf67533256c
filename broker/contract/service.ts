/**
 * Something with a life of its own. `app/run` starts services in one visible order and stops them in reverse;
 * a service never starts another one.
 */
export interface Service {
  /** As it appears in logs and on `/readyz`. */
  readonly name: string
  /** Resolves when the service is usable; rejects with a `GatewayError` that says what to do. */
  start(): Promise<void>
  /** Resolves when every timer, socket and file of the service is released. Safe to call twice, or without a start. */
  stop(): Promise<void>
  /** For `/readyz`; absent when the service is ready whenever it runs. */
  readiness?(): Readiness
}

export type Readiness =
  /** `warnings`: what works, and what an operator had better mend; absent when there is nothing. */
  | { readonly ready: true; readonly warnings?: readonly string[] }
  | { readonly ready: false; readonly reason: string }
