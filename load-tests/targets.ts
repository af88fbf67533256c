import type { Bench, BrokerKind } from './bench.js'
import type { Subject, Work } from './compare.js'
import type { Fleet, Transport } from './peers/broker.js'
import { settingsOf, type ScenarioName } from './scenarios/all.js'
import type { LoadSettings } from './scenarios/scenario.js'

type Asked = Partial<LoadSettings>

function outstanding(count: number): LoadSettings['pace'] {
  return { kind: 'closed', outstanding: count }
}

interface TargetRow {
  readonly scenario: ScenarioName
  readonly title: string
  readonly asked: Asked
  /** Least ratios, where there is a target. */
  readonly mosquitto?: number
  readonly stock?: number
}

/**
 * Messages of a publisher under way: as many as in the fan-out, which the targets are for; and one, where each message
 * costs a read and a write of the kernel whatever the broker does.
 */
const TARGETED_OUTSTANDING = 32

/** The work of the target table. */
const TABLE: readonly TargetRow[] = [
  { scenario: 'fanout', title: 'fan-out 1 to 500, 32 outstanding', asked: {}, mosquitto: 8, stock: 40 },
  {
    scenario: 'fanout',
    title: 'fan-out 1 to 500, 1 outstanding',
    asked: { pace: outstanding(1) },
    mosquitto: 0.9,
    stock: 4,
  },
  ...manyPublishers(0, 1, 6),
  {
    scenario: 'fanout',
    title: 'fan-out 1 to 500, 32 outstanding',
    asked: { qos: 1 },
    mosquitto: 0.8,
    stock: 4,
  },
  ...manyPublishers(1, 0.8, 4),
]

function manyPublishers(qos: 0 | 1, mosquitto: number, stock: number): TargetRow[] {
  const shapes = [
    { scenario: 'fanin', title: 'fan-in 200 to 1' },
    { scenario: 'pairs', title: 'pairs 200 to 200' },
  ] as const
  const row = (shape: (typeof shapes)[number], count: number) => ({
    scenario: shape.scenario,
    title: `${shape.title}, ${count} outstanding each`,
    asked: { qos, pace: outstanding(count) },
  })
  return shapes.flatMap((shape) => [{ ...row(shape, TARGETED_OUTSTANDING), mosquitto, stock }, row(shape, 1)])
}

/** Two nodes and a Redis, every delivery crosses: the least ratio to the stock packages on the same. */
const ACROSS = 5
/** The same where nobody elsewhere listens, to a gateway alone: the noise, and what the idle node and Redis take (1 %). */
const LOCAL = 0.85

/** Publishers and receivers of one node, or of two. */
const BETWEEN_NODES = (['fanout', 'fanin', 'pairs'] as const).flatMap((scenario) =>
  ([0, 1] as const).flatMap((qos) =>
    (scenario === 'fanout' ? [TARGETED_OUTSTANDING] : [TARGETED_OUTSTANDING, 1]).map((count) => ({
      scenario,
      title: `${scenario}, ${count} outstanding${scenario === 'fanout' ? '' : ' each'}, QoS ${qos}`,
      asked: { qos, pace: outstanding(count) },
      targeted: count === TARGETED_OUTSTANDING,
    })),
  ),
)

const VERSIONS = [
  { version: 4, name: 'MQTT 3.1.1' },
  { version: 5, name: 'MQTT 5' },
] as const

/**
 * Every row of the table of docs/performance.md. `asked` (duration, warm-up, payload) is for all of them; `only` keeps
 * the rows whose title has this text.
 */
export function targetWork(bench: Bench, asked: Asked, only: string | undefined): Work[] {
  const subject = (kind: BrokerKind, transport?: Transport): Subject => ({
    label: transport === undefined ? kind : `${kind} ${transport}`,
    broker: () => bench.broker(kind),
    ...(transport !== undefined && { transport }),
  })
  const gateway = subject('gateway')
  const mosquitto = subject('mosquitto')

  const throughput = VERSIONS.flatMap(({ version, name }) =>
    TABLE.map((row): Work => {
      const settings = settingsOf(row.scenario, { ...row.asked, version, ...asked })
      const title = `${row.title}, QoS ${settings.qos}, ${name}`
      const common = { title, scenario: row.scenario, settings }
      // The packages of the stock stack speak no MQTT 5.
      const targets = {
        ...(row.mosquitto !== undefined && { mosquitto: row.mosquitto }),
        ...(row.stock !== undefined && version === 4 && { stock: row.stock }),
      }
      const subjects = version === 5 ? [gateway, mosquitto] : [gateway, mosquitto, subject('stock')]
      return { ...common, subjects, targets }
    }),
  )
  const latency = (['fanout', 'fanin', 'pairs'] as const).map((scenario): Work => ({
    title: `${scenario}, p99 at half of Mosquitto's peak`,
    scenario,
    settings: settingsOf(scenario, asked),
    subjects: [gateway, mosquitto],
    figure: 'p99',
    rateOfPeak: { share: 0.5, of: mosquitto },
    targets: { mosquitto: 1 },
  }))
  const transports = (['fanout', 'pairs'] as const).map((scenario): Work => ({
    title: `${scenario}, by transport`,
    scenario,
    settings: settingsOf(scenario, asked),
    subjects: (['tcp', 'ws', 'tls', 'wss'] as const).map((transport) => subject('gateway', transport)),
    targets: { 'gateway ws': 1 },
  }))
  const durable = (['persistent', 'offline'] as const).flatMap((sessions) =>
    (['fanout', 'pairs'] as const).map((scenario): Work => ({
      title: `durable: ${scenario}, QoS 1, ${sessions === 'offline' ? 'offline' : 'online'} persistent sessions`,
      scenario,
      settings: settingsOf(scenario, { ...asked, qos: 1, sessions }),
      subjects: [gateway, subject('gateway-sync'), mosquitto, subject('stock')],
    })),
  )
  return [...throughput, ...latency, ...transports, ...durable, ...betweenNodes(bench, asked)].filter(
    ({ title }) => only === undefined || title.includes(only),
  )
}

function betweenNodes(bench: Bench, asked: Asked): Work[] {
  const subject = (kind: BrokerKind, fleet?: Fleet): Subject => ({
    label: kind,
    broker: () => bench.broker(kind, fleet),
  })
  const apart: Fleet = { nodes: 2, clients: 'apart' }
  const together: Fleet = { nodes: 2, clients: 'together' }
  const across = BETWEEN_NODES.map((row): Work => ({
    title: `two nodes: ${row.title}`,
    scenario: row.scenario,
    settings: settingsOf(row.scenario, { ...row.asked, ...asked }),
    subjects: [subject('gateway-redis', apart), subject('stock-redis', apart)],
    ...(row.targeted && { targets: { 'stock-redis': ACROSS } }),
  }))
  // The other node and Redis are on the bill: that nobody listens there is to cost nothing.
  const local = BETWEEN_NODES.map((row): Work => ({
    title: `two nodes, clients on one: ${row.title}`,
    scenario: row.scenario,
    settings: settingsOf(row.scenario, { ...row.asked, ...asked }),
    subjects: [subject('gateway-redis', together), subject('gateway')],
    ...(row.targeted && { targets: { gateway: LOCAL } }),
  }))
  return [...across, ...local]
}
