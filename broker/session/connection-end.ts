import type { CloseCause } from '../contract/transport.js'
import { encodeDisconnect } from '../wire/control-encoder.js'
import { ReasonCode } from '../wire/reason-codes.js'
import type { ClientTerms } from './connected-client.js'

/**
 * The DISCONNECT that tells an MQTT 5 client why (3.14). `serverReference`: where to go instead when the server is what goes.
 * Undefined: the client does not take even the shortest one [MQTT-3.1.2-24].
 */
export function goodbye(
  reasonCode: number,
  reasonString: string | undefined,
  serverReference: string | undefined,
  terms: ClientTerms,
): Buffer | undefined {
  const leaving = reasonCode === ReasonCode.ServerShuttingDown || reasonCode === ReasonCode.UseAnotherServer
  const moving = leaving && serverReference !== undefined
  const bytes = encodeDisconnect(
    {
      reasonCode: moving ? ReasonCode.UseAnotherServer : reasonCode,
      properties: {
        ...(reasonString !== undefined && { reasonString }),
        ...(moving && { serverReference }),
      },
    },
    terms,
  )
  // A reference that does not fit must not stop the goodbye [MQTT-3.14.2-3].
  const fits = bytes.length <= terms.maximumPacketSize
  const packet = fits ? bytes : encodeDisconnect({ reasonCode })
  return packet.length <= terms.maximumPacketSize ? packet : undefined
}

/** What a violation with that reason code counts as. */
export function causeOf(reasonCode: number): CloseCause {
  switch (reasonCode) {
    case ReasonCode.MalformedPacket:
      return 'malformed_packet'
    case ReasonCode.PacketTooLarge:
      return 'packet_too_large'
    case ReasonCode.NotAuthorized:
      return 'not_authorized'
    case ReasonCode.QuotaExceeded:
    case ReasonCode.ReceiveMaximumExceeded:
      return 'quota_exceeded'
    case ReasonCode.ServerBusy:
      return 'server_busy'
    default:
      return 'protocol_error'
  }
}
