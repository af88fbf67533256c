import { GatewayError, type ErrorCode } from '../contract/errors.js'

/** Exit codes of every command. */
export const EXIT = { done: 0, failed: 1, usage: 2 } as const

/** Failures that the caller can mend by calling differently: nothing has been started. */
const USAGE_ERRORS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'CONFIG_INVALID',
  'CONFIG_UNREADABLE',
  'ADDRESS_IN_USE',
  'ADDRESS_UNAVAILABLE',
  'TLS_FILE_INVALID',
  'KEYS_UNREADABLE',
  'BRIDGES_INVALID',
  'PROFILE_INVALID',
])

/** What a command prints before it gives up: one message with what to do, a stack only for defects. */
export function failureText(error: unknown): { readonly text: string; readonly code: number } {
  if (!(error instanceof GatewayError)) {
    return {
      text: error instanceof Error ? (error.stack ?? error.message) : String(error),
      code: EXIT.failed,
    }
  }
  const hint = error.hint === undefined ? '' : `\n${error.hint}`
  return {
    text: `${error.code}: ${error.message}${hint}`,
    code: USAGE_ERRORS.has(error.code) ? EXIT.usage : EXIT.failed,
  }
}
