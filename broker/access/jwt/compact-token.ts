import { decodeProtectedHeader } from 'jose'
import type { Credentials } from '../../contract/principal.js'

/**
 * The token that a client shows, or undefined when what it shows is no token. The password of CONNECT, where there
 * is one, is what the client says for itself; the token of the WebSocket handshake counts only without it. So a
 * password of another kind goes to another authenticator, and never rides along unproven.
 */
export function tokenOf({ password, bearerToken }: Credentials): string | undefined {
  const text = password === undefined || password.length === 0 ? bearerToken : password.toString('latin1')
  return text !== undefined && isCompactToken(text) ? text : undefined
}

/** JWS Compact Serialization (RFC 7515, 7.1): three parts in base64url, the first a JSON object that names an `alg`. */
function isCompactToken(text: string): boolean {
  if (!/^[\w-]+\.[\w-]*\.[\w-]*$/.test(text)) return false
  try {
    return typeof decodeProtectedHeader(text).alg === 'string'
  } catch {
    return false
  }
}
