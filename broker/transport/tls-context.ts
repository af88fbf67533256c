import { readFile } from 'node:fs/promises'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import type { TlsConfig } from '../../config/schema.js'
import { GatewayError } from '../contract/errors.js'

/**
 * Reads the files of a listener's `tls` section and tries them out, so that a bad one is said at the start (or at
 * a reload, with the old ones still in use) and not by failing handshakes.
 *
 * Rejects with TLS_FILE_INVALID.
 */
export async function loadTls(listener: string, config: TlsConfig): Promise<SecureContextOptions> {
  const { certFile, keyFile, caFile, clientCert } = config
  if (clientCert !== 'none' && caFile === undefined) {
    throw new GatewayError(
      'TLS_FILE_INVALID',
      `Listener "${listener}" checks client certificates without a CA.`,
      {
        hint: 'Set `tls.caFile` to the authorities that issue them, or `tls.clientCert` to `none`.',
      },
    )
  }
  const cert = await readPem(listener, 'certFile', certFile, 'CERTIFICATE')
  const key = await readPem(listener, 'keyFile', keyFile, 'PRIVATE KEY')
  tryOut(listener, `certificate ${certFile}`, { cert })
  tryOut(listener, `key ${keyFile}`, { key })
  tryOut(listener, `certificate ${certFile} and key ${keyFile} together`, { cert, key })
  if (caFile === undefined) return { cert, key, minVersion: MIN_VERSION }
  const ca = await readPem(listener, 'caFile', caFile, 'CERTIFICATE')
  tryOut(listener, `authorities ${caFile}`, { ca })
  return { cert, key, ca, minVersion: MIN_VERSION }
}

/** Older versions are broken and forbidden (RFC 8996). */
const MIN_VERSION = 'TLSv1.2'

async function readPem(listener: string, setting: string, file: string, label: string): Promise<string> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new GatewayError(
      'TLS_FILE_INVALID',
      `Listener "${listener}": tls.${setting} ${file} cannot be read (${messageOf(error)}).`,
      { hint: 'Check the path and that the user of the gateway may read the file.', cause: error },
    )
  }
  // OpenSSL takes a CA file without any certificate for an empty list, silently.
  if (!new RegExp(`-----BEGIN [A-Z0-9 ]*${label}-----`).test(text)) {
    throw new GatewayError(
      'TLS_FILE_INVALID',
      `Listener "${listener}": tls.${setting} ${file} holds no PEM block "${label}".`,
      { hint: 'The files have to be in PEM form; convert others with openssl.' },
    )
  }
  return text
}

function tryOut(listener: string, what: string, options: SecureContextOptions): void {
  try {
    createSecureContext(options)
  } catch (error) {
    throw new GatewayError(
      'TLS_FILE_INVALID',
      `Listener "${listener}": ${what} cannot be used (${messageOf(error)}).`,
      {
        hint: 'The key has to be the one that the certificate was made for, without a passphrase.',
        cause: error,
      },
    )
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
