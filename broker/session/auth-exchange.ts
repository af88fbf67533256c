import type { AuthenticationExchange, ExchangeStep } from '../contract/enhanced-authentication.js'
import { encodeAuth } from '../wire/control-encoder.js'
import type { AuthPacket } from '../wire/packet.js'
import { ReasonCode } from '../wire/reason-codes.js'

export type ExchangeEnd = Exclude<ExchangeStep, { kind: 'continue' }>

/** How an exchange reaches the client. */
export interface AuthLink {
  send(bytes: Buffer): void
  /** Ends the connection: the client does not keep to the exchange. */
  violated(reasonCode: number, rule: string, detail: string): void
  isGone(): boolean
}

/**
 * The packets of one enhanced authentication (MQTT 5, 4.12), be it part of CONNECT or a re-authentication: sends
 * AUTH 0x18 as long as the method goes on, and takes what the client answers.
 */
export class AuthExchange {
  private waiter: ((data: Answer) => void) | undefined

  constructor(
    readonly method: string,
    private readonly exchange: AuthenticationExchange,
    private readonly link: AuthLink,
  ) {}

  /** Resolves to the end of the exchange, or to undefined when the connection is gone. Never rejects. */
  async run(first: Buffer | undefined): Promise<ExchangeEnd | undefined> {
    let step = await this.exchange.step(first)
    while (step.kind === 'continue') {
      if (this.link.isGone()) return undefined
      // Armed before the packet goes out, so that no answer can be too early.
      const answered = new Promise<Answer>((resolve) => {
        this.waiter = resolve
      })
      const { method: authenticationMethod } = this
      this.link.send(
        encodeAuth({
          reasonCode: ReasonCode.ContinueAuthentication,
          authenticationMethod,
          authenticationData: step.data,
        }),
      )
      const answer = await answered
      if (answer === 'gone') return undefined
      step = await this.exchange.step(answer.data)
    }
    return this.link.isGone() ? undefined : step
  }

  /** AUTH 0x18 from the client [MQTT-4.12.0-3]; out of turn or of another method it is a protocol error. */
  received({ reasonCode, authenticationMethod, authenticationData }: AuthPacket): void {
    const { waiter } = this
    const fits = reasonCode === ReasonCode.ContinueAuthentication && authenticationMethod === this.method
    if (waiter === undefined || !fits) {
      this.link.violated(
        ReasonCode.ProtocolError,
        'MQTT-4.12.0-5',
        'AUTH that does not continue the exchange',
      )
      return
    }
    this.waiter = undefined
    waiter({ data: authenticationData })
  }

  /** The connection is gone. */
  abandon(): void {
    this.waiter?.('gone')
    this.waiter = undefined
  }
}

type Answer = { readonly data: Buffer | undefined } | 'gone'
