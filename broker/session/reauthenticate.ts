import { encodeAuth } from '../wire/control-encoder.js'
import { ReasonCode } from '../wire/reason-codes.js'
import type { AuthExchange } from './auth-exchange.js'
import type { ConnectedClient } from './connected-client.js'
import type { SessionLayer } from './session-layer.js'

/**
 * Re-authentication (MQTT 5, 4.12.1): what the client may do, and until when, is what it proves now. Resolves to whether it
 * has; if not, the connection is at its end.
 */
export async function reauthenticate(
  client: ConnectedClient,
  exchange: AuthExchange,
  first: Buffer | undefined,
  { wheel, limits }: SessionLayer,
): Promise<boolean> {
  const { connection } = client
  const patience = wheel.schedule(limits.connectTimeoutSeconds * 1000, () =>
    connection.end('not_authorized', ReasonCode.NotAuthorized, 'the re-authentication took too long'),
  )
  const outcome = await exchange.run(first).finally(() => patience.cancel())
  if (outcome === undefined || client.stopped) return false
  if (outcome.kind === 'refused') {
    // DISCONNECT has no code for bad credentials [MQTT-3.14.2-1].
    connection.end('not_authorized', ReasonCode.NotAuthorized, 'the re-authentication failed')
    return false
  }
  client.authorize(outcome.principal)
  const { data: authenticationData } = outcome
  client.send(
    encodeAuth({
      reasonCode: ReasonCode.Success,
      authenticationMethod: exchange.method,
      ...(authenticationData !== undefined && { authenticationData }),
    }),
  )
  return true
}
