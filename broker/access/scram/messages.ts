/** The messages that a client sends (RFC 5802, 7). Each parser yields undefined for what is not such a message. */
export interface ClientFirstMessage {
  /** `n,,` as the client wrote it: comes back, encoded, in its final message. */
  readonly gs2Header: string
  /** The message behind the header: part of what is signed. */
  readonly bare: string
  readonly username: string
  readonly nonce: string
}

export interface ClientFinalMessage {
  /** The message up to the proof: part of what is signed. */
  readonly withoutProof: string
  /** Decoded `c=`. */
  readonly channelBinding: Buffer
  readonly nonce: string
  readonly proof: Buffer
}

/**
 * The mechanism is SCRAM-SHA-256, not -PLUS: a client that insists on channel binding (`p=`) is not served. `y`
 * says that the client could bind but takes us to be unable, which is so. An authorization identity (`a=`) has to
 * be the user itself; a mandatory extension (`m=`) is one that we do not know.
 */
export function parseClientFirst(data: Buffer): ClientFirstMessage | undefined {
  const text = decodeText(data)
  const [, gs2Header, authzid, bare, encodedName, nonce] =
    /^([ny],(?:a=([^,]+))?,)(n=([^,]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,[A-Za-ln-z]=[^,]*)*)$/.exec(text ?? '') ??
    []
  if (gs2Header === undefined || bare === undefined || encodedName === undefined || nonce === undefined)
    return undefined
  const username = decodeName(encodedName)
  if (username === undefined || nonce.length > MAX_NONCE_LENGTH) return undefined
  if (authzid !== undefined && decodeName(authzid) !== username) return undefined
  return { gs2Header, bare, username, nonce }
}

export function parseClientFinal(data: Buffer): ClientFinalMessage | undefined {
  const text = decodeText(data)
  const [, withoutProof, binding, nonce, encodedProof] =
    /^(c=([^,]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,[A-Za-ln-z]=[^,]*)*),p=([^,]+)$/.exec(text ?? '') ?? []
  if (withoutProof === undefined || nonce === undefined) return undefined
  const channelBinding = decodeBase64(binding ?? '')
  const proof = decodeBase64(encodedProof ?? '')
  if (channelBinding === undefined || proof === undefined) return undefined
  return { withoutProof, channelBinding, nonce, proof }
}

/** Strict: Buffer alone skips what is not base64. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

const MAX_MESSAGE_BYTES = 4_096
const MAX_NONCE_LENGTH = 256
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decodeText(data: Buffer): string | undefined {
  if (data.length > MAX_MESSAGE_BYTES) return undefined
  try {
    return utf8.decode(data)
  } catch {
    return undefined
  }
}

/** `saslname`: `,` is written `=2C`, `=` is written `=3D`; any other `=` is an error. */
function decodeName(encoded: string): string | undefined {
  if (/=(?!2C|3D)/.test(encoded)) return undefined
  return encoded.replaceAll('=2C', ',').replaceAll('=3D', '=')
}
