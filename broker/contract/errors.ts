/**
 * The one error table. A failure that an operator or an embedding program may meet has a code here, and
 * `docs/errors.md` lists each of them (a test fails when the two differ). Failures are told apart by code,
 * never by message text.
 */
export const errorTable = {
  CONFIG_INVALID:
    'The configuration has unknown keys, bad values or contradictions; each is listed with its path.',
  CONFIG_UNREADABLE: 'The configuration file is missing, unreadable or not YAML.',
  ADDRESS_IN_USE: 'Another process listens on the address of a listener.',
  ADDRESS_UNAVAILABLE: 'The address of a listener does not belong to this machine, or needs more rights.',
  TLS_FILE_INVALID: 'A certificate, key or CA file is missing, unreadable, or does not fit the others.',
  STORE_LOCKED: 'Another process has the data directory open.',
  STORE_DAMAGED: 'The store cannot be read back; it has to be repaired or restored.',
  STORE_VERSION: 'The store was written by a version of the gateway that this one cannot read.',
  STORE_UNWRITABLE:
    'The store cannot write now: the disk is full, read-only or failing, or Redis is away or refuses.',
  REDIS_UNREACHABLE: 'No Redis answers at the configured address, or it refuses the user or password.',
  REDIS_UNSUITABLE:
    'The Redis that answers cannot serve as a store: a read-only replica, missing rights, too old, or not of the configured kind.',
  STORE_CLOSED: 'The store was used before it was opened or after it was closed.',
  STORE_BUSY: 'The store has as many writes waiting as it may; the sender has to try again.',
  QUOTA_EXCEEDED: 'A configured bound was reached (retained messages, queued messages, subscriptions).',
  SESSION_TAKEN: 'The session belongs to a newer connection; a write of the former owner was refused.',
  TOPIC_INVALID: 'A topic name or topic filter breaks the rules of MQTT 4.7, or has more than 100 levels.',
  NOT_RUNNING: 'The gateway is starting or stopping and takes no messages.',
  HOOK_FAILED: 'A hook of the embedding program reported an error for a message that was published.',
  INTERNAL: 'Something that cannot happen has happened: a defect of the gateway.',
  KEYS_UNREADABLE: 'A key file, key set or users file cannot be read, fetched or used.',
  BRIDGES_INVALID:
    'The bridges file has unknown keys, bad values or templates; each is listed with its path.',
  PROFILE_INVALID: 'A simulator profile has unknown keys or bad values; each is listed with its path.',
  ADMIN_UNREACHABLE: 'A command could not reach the admin listener of the gateway, or was refused by it.',
  BROKER_UNREACHABLE: 'A command could not reach the broker it was pointed at.',
  BROKER_REFUSED: 'The broker that a command was pointed at answered, and refused the connection.',
} as const

export type ErrorCode = keyof typeof errorTable

export interface ErrorDetails {
  /** What the reader can do about it, as one sentence. */
  readonly hint?: string
  readonly cause?: unknown
}

export class GatewayError extends Error {
  override readonly name = 'GatewayError'
  readonly hint: string | undefined

  constructor(
    readonly code: ErrorCode,
    message: string,
    details: ErrorDetails = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.hint = details.hint
  }
}

const storeRefusals = ['STORE_UNWRITABLE', 'STORE_BUSY', 'STORE_CLOSED', 'SESSION_TAKEN'] as const
const storeRefusalCodes: ReadonlySet<ErrorCode> = new Set(storeRefusals)

export type StoreRefusal = GatewayError & { readonly code: (typeof storeRefusals)[number] }

/**
 * Whether a call failed since the store is away, full, closed or in other hands. The store says so itself, in its
 * events and its readiness: for whoever called it, it is no defect.
 */
export function isStoreRefusal(error: unknown): error is StoreRefusal {
  return error instanceof GatewayError && storeRefusalCodes.has(error.code)
}

/** What clients may read of a failure: messages of the store name addresses and folders of this machine. */
export function toldToClients(error: GatewayError): string {
  return storeRefusalCodes.has(error.code) ? errorTable[error.code] : error.message
}
