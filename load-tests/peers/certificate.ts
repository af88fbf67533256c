import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { GatewayError } from '../../broker/contract/errors.js'

export interface Certificate {
  readonly certFile: string
  readonly keyFile: string
  /** PEM; it is its own authority. */
  readonly pem: string
}

/** Makes a certificate for 127.0.0.1 with the installed `openssl`: elliptic curve P-256, valid for a day. */
export function makeCertificate(directory: string): Certificate {
  const certFile = join(directory, 'server.crt')
  const keyFile = join(directory, 'server.key')
  const made = spawnSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '1'],
      ...['-keyout', keyFile, '-out', certFile],
    ],
    { encoding: 'utf8' },
  )
  if (made.status !== 0) {
    throw new GatewayError('TLS_FILE_INVALID', `openssl made no certificate: ${made.stderr || 'not found'}`, {
      hint: 'Loads over TLS need the program openssl, to make a certificate for the brokers they start.',
    })
  }
  return { certFile, keyFile, pem: readFileSync(certFile, 'utf8') }
}
