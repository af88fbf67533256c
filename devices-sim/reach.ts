import { GatewayError } from '../broker/contract/errors.js'
import type { LostReason } from './link.js'

/**
 * Reason codes of CONNACK that trying again does not change. 1 to 5: MQTT 3.1.1, table 3.1 (without 3, server
 * unavailable); above: MQTT 5, table 3-1.
 */
const refusals: Readonly<Record<number, string>> = {
  1: 'it does not speak this version of MQTT',
  2: 'it does not accept the client identifier',
  4: 'user name or password are wrong',
  5: 'the device is not authorised',
  0x84: 'it does not speak this version of MQTT',
  0x85: 'it does not accept the client identifier',
  0x86: 'user name or password are wrong',
  0x87: 'the device is not authorised',
  0x8a: 'the device is banned',
  0x8c: 'it wants another authentication method',
}

/** Whether the broker was reached, and will not have the device however often it asks. */
export function isRefusal({ reasonCode }: LostReason): boolean {
  return reasonCode !== undefined && reasonCode in refusals
}

export function refused(url: URL, { reasonCode = 0, error }: LostReason): GatewayError {
  return new GatewayError(
    'BROKER_REFUSED',
    `${shown(url)} refused the connection: ${refusals[reasonCode] ?? ''}`,
    {
      hint: [1, 0x84].includes(reasonCode)
        ? 'Try --mqtt 3.1.1.'
        : 'Give --username with --password-file, or --token-file, as the broker expects.',
      cause: error,
    },
  )
}

export function unreachable(url: URL, reason: LostReason): GatewayError {
  const { what, hint } = explain(url, reason)
  return new GatewayError('BROKER_UNREACHABLE', `${shown(url)} could not be reached: ${what}`, {
    hint,
    cause: reason.error,
  })
}

function explain(url: URL, { error, reasonCode }: LostReason): { what: string; hint: string } {
  const code = errorCode(error)
  const place = `host and port (${url.host})`
  if (code === 'ECONNREFUSED') {
    return { what: 'nothing listens there', hint: `Start the broker, or correct ${place}.` }
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return { what: 'the host name is not known', hint: `Correct the host name (${url.hostname}).` }
  }
  if (code.includes('CERT') || code.includes('SIGNATURE') || code.includes('ALTNAME')) {
    return {
      what: `its certificate is not trusted (${code})`,
      hint: 'Give the authority that signed it with --ca-file, and the host name that it is for.',
    }
  }
  const status = /Unexpected server response: (\d+)/.exec(error?.message ?? '')?.[1]
  if (status !== undefined) {
    return {
      what: `it answered the WebSocket handshake with HTTP status ${status}`,
      hint: `Correct the path (${url.pathname}); brokers mostly use /mqtt.`,
    }
  }
  if (reasonCode !== undefined) {
    return {
      what: `it refused for now (reason code ${reasonCode})`,
      hint: 'Try again later, or with fewer devices.',
    }
  }
  return {
    what: error === undefined ? 'it closed the connection without an answer' : error.message || code,
    hint: `Check ${place} and the scheme: ws:// and wss:// for WebSocket, mqtt:// and mqtts:// for TCP.`,
  }
}

/** Node gathers the failures of several addresses of a name under one error. */
function errorCode(error: (Error & { code?: unknown }) | undefined): string {
  return typeof error?.code === 'string' ? error.code : ''
}

/** Without what may be secret: user information and query. */
function shown(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname === '/' ? '' : url.pathname}`
}
