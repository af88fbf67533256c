import { errors, type JWTVerifyGetKey } from 'jose'
import type { Timer } from '../../contract/clock.js'
import type { Readiness } from '../../contract/service.js'
import { withTimeout } from '../timeout.js'
import { readKeySet, type KeySet } from './key-set.js'
import { keysUnreadable } from '../keys-unreadable.js'
import type { KeyDependencies, VerificationKeys } from './verification-keys.js'

const REFRESH_MS = 600_000
const FIRST_RETRY_MS = 1_000
const LONGEST_RETRY_MS = 60_000
/** A token with an unknown key may be signed with a new one; so often at most that makes us look. */
const UNKNOWN_KEY_COOLDOWN_MS = 30_000
const FETCH_TIMEOUT_MS = 5_000
const MAX_BYTES = 1_048_576

/**
 * A key set behind a URL: fetched when the gateway starts, then every ten minutes, and when a token names a key that
 * it does not have. One request at a time. While the URL is away the keys of the last fetch stay in use, for as
 * long as it takes: an outage of the identity provider must not be one of the gateway. Without any keys yet the
 * gateway runs, and refuses tokens.
 */
export class KeySetUrl implements VerificationKeys {
  private keySet: KeySet | undefined
  private text: string | undefined
  private fetching: Promise<void> | undefined
  private lastFetchAt = -Infinity
  private failures = 0
  private timer: Timer | undefined
  private abort = new AbortController()

  constructor(
    private readonly name: string,
    private readonly url: string,
    private readonly algorithms: readonly string[],
    private readonly dependencies: KeyDependencies,
  ) {}

  /** Waits for the first answer, at most 5 s, and does not mind when there is none. */
  async open(): Promise<void> {
    this.abort = new AbortController()
    await this.refresh()
  }

  async close(): Promise<void> {
    this.abort.abort()
    this.timer?.cancel()
    await this.fetching
  }

  readonly keyFor: JWTVerifyGetKey = async (header, token) => {
    const { keySet } = this
    try {
      return await this.usable().keyFor(header, token)
    } catch (error) {
      if (keySet !== undefined && !(error instanceof errors.JWKSNoMatchingKey)) throw error
      if (!this.mayLookAgain()) throw error
      await this.refresh()
      return this.usable().keyFor(header, token)
    }
  }

  readiness(): Readiness {
    if (this.keySet !== undefined) return { ready: true }
    return { ready: false, reason: `the keys of ${this.name} have not been fetched yet` }
  }

  /** Without a query, which may hold a secret. */
  private get source(): string {
    const { origin, pathname } = new URL(this.url)
    return origin + pathname
  }

  private usable(): KeySet {
    if (this.keySet === undefined)
      throw keysUnreadable(this.source, new Error('no keys have been fetched yet'))
    return this.keySet
  }

  private mayLookAgain(): boolean {
    if (this.abort.signal.aborted) return false
    return (
      this.fetching !== undefined ||
      this.dependencies.clock.now() - this.lastFetchAt >= UNKNOWN_KEY_COOLDOWN_MS
    )
  }

  /** Never rejects. */
  private refresh(): Promise<void> {
    this.fetching ??= this.fetchKeys().finally(() => {
      this.fetching = undefined
    })
    return this.fetching
  }

  private async fetchKeys(): Promise<void> {
    const { clock, events } = this.dependencies
    this.timer?.cancel()
    this.lastFetchAt = clock.now()
    let nextInMs = REFRESH_MS
    try {
      const text = await withTimeout(clock, FETCH_TIMEOUT_MS, (signal) =>
        this.download(AbortSignal.any([signal, this.abort.signal])),
      )
      if (text === undefined) throw new Error(`no answer within ${FETCH_TIMEOUT_MS} ms`)
      if (text !== this.text || this.failures > 0) {
        this.keySet = await readKeySet(text, this.algorithms)
        this.text = text
        events.keysLoaded(this.name, this.keySet.count)
      }
      this.failures = 0
    } catch (error) {
      if (this.abort.signal.aborted) return
      nextInMs = Math.min(FIRST_RETRY_MS * 2 ** this.failures, LONGEST_RETRY_MS)
      this.failures++
      events.keysUnavailable(this.name, keysUnreadable(this.source, error), this.keySet?.count ?? 0, nextInMs)
    }
    if (!this.abort.signal.aborted) this.timer = clock.schedule(nextInMs, () => void this.refresh())
  }

  /** A redirect could lead to another party: the URL of the configuration is the one that is trusted. */
  private async download(signal: AbortSignal): Promise<string> {
    const response = await this.dependencies.fetch(this.url, {
      signal,
      redirect: 'error',
      headers: { accept: 'application/jwk-set+json, application/json' },
    })
    if (response.status !== 200 || response.body === null) {
      await response.body?.cancel()
      throw new Error(`answered with status ${response.status}`)
    }
    const chunks: Uint8Array[] = []
    let length = 0
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      length += chunk.length
      if (length > MAX_BYTES) throw new Error(`answered with more than ${MAX_BYTES} bytes`)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks).toString('utf8')
  }
}
