import { DurableClient, type Arrival } from '../kill/durable-client.js'
import type { Stream } from '../kill/ledger.js'

const MEMBERS = 3
const FILTER = '$share/chaos/load/+/+'

export interface ShareGroupOptions {
  readonly port: () => number
  readonly random: () => number
  readonly streams: ReadonlyMap<string, Stream>
}

/**
 * A share group of durable sessions, which come and go: each message of each stream reaches one of them, at QoS 2 once
 * however often its publisher has sent it (MQTT 5, 4.8.2).
 */
export class ShareGroup {
  readonly faults: string[] = []
  readonly members: readonly DurableClient[]
  private readonly arrived = new Map<string, Set<number>>()

  constructor(private readonly options: ShareGroupOptions) {
    const { port, random } = options
    this.members = Array.from({ length: MEMBERS }, (_, i) => {
      const clientId = `member-${i}`
      const onArrival = (arrival: Arrival) => this.take(clientId, arrival)
      const onFault = (fault: string) => this.fault(fault)
      const version = i % 2 === 0 ? 5 : 4
      return new DurableClient({ clientId, port, version, random, patient: true, onArrival, onFault })
    })
  }

  async open(): Promise<void> {
    for (const member of this.members) {
      await member.open()
      await member.subscribe([{ filter: FILTER, qos: 2 }])
    }
  }

  /** One comes, or goes. */
  visit(): void {
    const member = this.members[Math.floor(this.options.random() * MEMBERS)]
    if (member?.connected === true) member.leave()
    else void member?.open()
  }

  async gather(): Promise<void> {
    for (const member of this.members) await member.open()
  }

  /** Messages that none of them has got. */
  missing(): number {
    let missing = 0
    for (const { topic, sent } of this.options.streams.values())
      missing += sent - (this.arrived.get(topic)?.size ?? 0)
    return missing
  }

  async end(): Promise<void> {
    for (const member of this.members) await member.end()
  }

  close(): void {
    for (const member of this.members) member.leave()
  }

  private take(member: string, { topic, payload, qos }: Arrival): void {
    const number = Number.parseInt(payload.toString(), 10)
    let numbers = this.arrived.get(topic)
    if (numbers === undefined) this.arrived.set(topic, (numbers = new Set()))
    if (numbers.has(number) && qos === 2) this.fault(`${topic}: ${number} came twice, to ${member} at last`)
    numbers.add(number)
  }

  private fault(fault: string): void {
    // The first ones tell what went wrong.
    if (this.faults.length < 20) this.faults.push(fault)
  }
}
