import { DurableClient, type DurableClientOptions } from '../kill/durable-client.js'

const CLIENTS = 4

export type LastWillsOptions = Pick<DurableClientOptions, 'port' | 'random'>

/**
 * Clients with a will that never say goodbye, and a durable subscriber to the wills: each connection that was
 * accepted leaves its will, once, whichever node publishes it [MQTT-3.1.2-8].
 */
export class LastWills {
  readonly faults: string[] = []
  private readonly clients: readonly DurableClient[]
  private readonly mourner: DurableClient
  /** Numbers of the connections that were accepted, by client id. */
  private readonly accepted = new Map<string, Set<number>>()
  private readonly published = new Map<string, Set<number>>()

  constructor(private readonly options: LastWillsOptions) {
    const common = { ...options, patient: true, onFault: (fault: string) => this.fault(fault) }
    this.clients = Array.from({ length: CLIENTS }, (_, i) => {
      const clientId = `mortal-${i}`
      const accepted = new Set<number>()
      this.accepted.set(clientId, accepted)
      this.published.set(clientId, new Set())
      let connections = 0
      return new DurableClient({
        ...common,
        clientId,
        version: i % 2 === 0 ? 5 : 4,
        will: () => ({ topic: `wills/${clientId}`, payload: Buffer.from(String(++connections)), qos: 2 }),
        onAccepted: () => accepted.add(connections),
      })
    })
    this.mourner = new DurableClient({
      ...common,
      clientId: 'mourner',
      version: 5,
      onArrival: ({ topic, payload }) => {
        const published = this.published.get(topic.slice('wills/'.length))
        const number = Number(payload.toString())
        if (published?.has(number) === true) this.fault(`${topic}: the will ${number} came twice`)
        published?.add(number)
      },
    })
  }

  async open(): Promise<void> {
    await this.mourner.open()
    await this.mourner.subscribe([{ filter: 'wills/+', qos: 2 }])
    for (const client of this.clients) await client.open()
  }

  /** One of them comes, goes, or comes once more. */
  visit(): void {
    const { random } = this.options
    const client = this.clients[Math.floor(random() * CLIENTS)]
    if (client?.connected !== true) void client?.open()
    else if (random() < 0.5) client.leave()
    else client.takeOver()
  }

  /** All go: what they leave is to come. */
  leave(): void {
    for (const client of this.clients) client.leave()
  }

  /** Wills that have not come, by client. */
  missing(): readonly string[] {
    return [...this.accepted].flatMap(([clientId, accepted]) =>
      [...accepted]
        .filter((number) => this.published.get(clientId)?.has(number) !== true)
        .map((number) => `${clientId} ${number}`),
    )
  }

  get count(): number {
    return [...this.published.values()].reduce((sum, { size }) => sum + size, 0)
  }

  async settled(): Promise<void> {
    await this.mourner.roundTrip()
  }

  async end(): Promise<void> {
    for (const client of [...this.clients, this.mourner]) await client.end()
  }

  close(): void {
    this.leave()
    this.mourner.leave()
  }

  private fault(fault: string): void {
    // The first ones tell what went wrong.
    if (this.faults.length < 20) this.faults.push(fault)
  }
}
