import { GatewayError } from '../contract/errors.js'

/** `source` is a path or an address; `cause` never holds key material. */
export function keysUnreadable(source: string, cause: unknown): GatewayError {
  return new GatewayError('KEYS_UNREADABLE', `${source}: ${reasonOf(cause)}`, { cause })
}

/** `fetch` hides what happened (ECONNREFUSED, a bad certificate) behind "fetch failed". */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message
}
