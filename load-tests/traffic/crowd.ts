import { GatewayError } from '../../broker/contract/errors.js'
import { Connection } from '../client/connection.js'
import type { Endpoint } from '../client/endpoint.js'
import { FlushList } from '../client/flush-list.js'
import type { Version } from '../client/packets.js'
import { Histogram, type HistogramCounts } from '../measure/histogram.js'
import { monotonicMs } from '../measure/monotonic.js'
import { inBatches } from './in-batches.js'
import { shareOf } from './plan.js'

export interface CrowdPlan {
  readonly endpoint: Endpoint
  readonly runId: string
  readonly version: Version
  readonly connections: number
  /** `together`: all at the same moment. `steadily`: some at a time. */
  /** Whether sessions end with their connection. */
  readonly clean: boolean
  readonly arrival: 'together' | 'steadily'
  readonly patienceMs: number
  readonly worker: number
  readonly workers: number
}

export interface Arrival {
  readonly connected: number
  readonly failed: number
  /** Why, of the first one that failed. */
  readonly problem: string | undefined
  /** Microseconds from the beginning of a connection (`together`: of all) to its CONNACK. */
  readonly latency: HistogramCounts
}

const RETRY_MS = 100

/** Clients that connect and do nothing else, but come back when they are cut off. */
export class Crowd {
  private readonly flushList = new FlushList()
  private readonly connections = new Map<number, Connection>()
  private lost: Promise<void>[] = []
  private leaving = false

  constructor(private readonly plan: CrowdPlan) {}

  async connect(): Promise<Arrival> {
    const latency = new Histogram()
    const problems: string[] = []
    const arrive = async (number: number) => {
      const begun = monotonicMs()
      try {
        await this.open(number)
        latency.record((monotonicMs() - begun) * 1_000)
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error
        problems.push(error.message)
      }
    }
    const numbers = shareOf(this.plan, this.plan.connections)
    if (this.plan.arrival === 'steadily') await inBatches(numbers, arrive)
    else await Promise.all(numbers.map(arrive))
    return {
      connected: this.connections.size,
      failed: problems.length,
      problem: problems[0],
      latency: latency.state(),
    }
  }

  /** Resolves when all that were cut off are back; how many that were. */
  async returned(): Promise<number> {
    const { lost } = this
    this.lost = []
    await Promise.all(lost)
    return lost.length
  }

  /** Each client subscribes to so many filters that nobody else has. */
  async subscribe(filters: number): Promise<void> {
    await inBatches([...this.connections], ([number, connection]) => {
      const base = `load/${this.plan.runId}/${number}`
      const own = Array.from({ length: filters }, (_, index) => `${base}/${index}`)
      return connection.subscribe(own, 1)
    })
  }

  /** Sessions that outlive their connections are left behind. */
  async close(): Promise<void> {
    this.leaving = true
    await Promise.all(this.lost)
    await inBatches([...this.connections.values()], (connection) => connection.close())
  }

  private async open(number: number): Promise<void> {
    const { endpoint, version, patienceMs, runId, clean } = this.plan
    const connection = await Connection.open({
      endpoint,
      version,
      clientId: `${runId}-c${number}`,
      clean,
      sessionExpirySeconds: clean ? 0 : 3_600,
      flushList: this.flushList,
      patienceMs,
    })
    this.connections.set(number, connection)
    connection.handler = {
      publish: () => {},
      acknowledgement: () => {},
      lost: () => this.lost.push(this.comeBack(number)),
    }
  }

  private async comeBack(number: number): Promise<void> {
    this.connections.delete(number)
    while (!this.leaving) {
      // Spread over the interval: a fleet whose clients all wait the same time comes in waves.
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS * (0.5 + ((number * 0.618) % 1))))
      try {
        await this.open(number)
        return
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error
      }
    }
  }
}
