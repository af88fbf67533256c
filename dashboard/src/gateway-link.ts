import mqtt, { type MqttClient } from 'mqtt'

export type LinkState =
  | { readonly phase: 'connecting' }
  | { readonly phase: 'connected' }
  /** `retryAt`: milliseconds since the epoch. */
  | { readonly phase: 'waiting'; readonly retryAt: number }
  /** The gateway wants to know who we are, or does not take who we say we are. */
  | { readonly phase: 'refused'; readonly hadToken: boolean }

export interface LinkListener {
  state(state: LinkState): void
  message(topic: string, payload: string): void
}

const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 15_000
const CONNECT_TIMEOUT_MS = 8_000

/** Reason codes of CONNACK: bad user name or password, not authorized, bad authentication method. */
const REFUSED = new Set([0x86, 0x87, 0x8c])

/**
 * The connection to the gateway. Comes back by itself: with growing, randomised pauses, and at once when the tab
 * wakes up or the network returns, since a sleeping tab's timers stand still.
 */
export class GatewayLink {
  private client: MqttClient | undefined
  private retry: ReturnType<typeof setTimeout> | undefined
  private attempts = 0
  private token: string | undefined

  constructor(
    private readonly url: string,
    private readonly filters: readonly string[],
    private readonly listener: LinkListener,
  ) {
    window.addEventListener('online', () => this.wake())
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') this.wake()
    })
  }

  /** `token`: sent as the password; undefined: come as nobody. */
  open(token: string | undefined): void {
    this.token = token
    this.attempts = 0
    this.connect()
  }

  private connect(): void {
    this.discard()
    this.listener.state({ phase: 'connecting' })
    const client = mqtt.connect(this.url, {
      protocolVersion: 5,
      keepalive: 20,
      connectTimeout: CONNECT_TIMEOUT_MS,
      // Reconnecting is done here; resubscribing is then part of connecting.
      reconnectPeriod: 0,
      resubscribe: false,
      // The default runs timers in a worker made from a blob, which the page's Content-Security-Policy forbids.
      timerVariant: 'native',
      ...(this.token !== undefined && { username: '', password: this.token }),
    })
    this.client = client
    client.on('connect', () => {
      this.attempts = 0
      client.subscribe([...this.filters], { qos: 0 }, (error) => {
        if (error) client.end(true)
      })
      this.listener.state({ phase: 'connected' })
    })
    client.on('message', (topic, payload) => this.listener.message(topic, payload.toString()))
    client.on('error', (error) => {
      const code = 'code' in error ? error.code : undefined
      if (typeof code === 'number' && REFUSED.has(code)) this.refused()
    })
    client.on('close', () => {
      if (this.client === client) this.retryLater()
    })
  }

  private refused(): void {
    this.discard()
    this.listener.state({ phase: 'refused', hadToken: this.token !== undefined })
  }

  private retryLater(): void {
    this.discard()
    const ceiling = Math.min(FIRST_RETRY_MS * 2 ** this.attempts++, LAST_RETRY_MS)
    // Half fixed, half random: a thousand dashboards must not come back in the same instant.
    const delay = ceiling / 2 + (Math.random() * ceiling) / 2
    this.listener.state({ phase: 'waiting', retryAt: Date.now() + delay })
    this.retry = setTimeout(() => this.connect(), delay)
  }

  private wake(): void {
    if (this.retry === undefined) return
    this.attempts = 0
    this.connect()
  }

  private discard(): void {
    clearTimeout(this.retry)
    this.retry = undefined
    const { client } = this
    this.client = undefined
    client?.end(true)
  }
}
