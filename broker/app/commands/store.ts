import { randomBytes } from 'node:crypto'
import { Command, InvalidArgumentError } from 'commander'
import { loadConfig } from '../../../config/load.js'
import type { RedisConfig } from '../../../config/schema.js'
import { systemClock } from '../../contract/clock.js'
import { GatewayError } from '../../contract/errors.js'
import { RedisConnections } from '../../store/redis/connection.js'
import { inspectStore, type StoreContents } from '../../store/redis/inspect.js'
import { migrateAedes, type MigrationReport } from '../../store/redis/migrate-aedes.js'
import { connectedRedis } from '../../store/redis/suitability.js'
import { Telemetry } from '../../telemetry/telemetry.js'
import { createStores } from '../stores.js'
import { overrideOption } from './options.js'

interface Common {
  readonly config?: string
  readonly set: readonly string[]
  readonly json: boolean
}

interface MigrateOptions extends Common {
  readonly from: readonly string[]
  readonly cluster: boolean
  readonly dryRun: boolean
  readonly replace: boolean
  readonly expiry: number
}

const NEVER = 0xffff_ffff
/** Between two lines of progress, sessions and messages. */
const PROGRESS_EVERY = 10_000
const SILENT = { redisLost: () => {}, redisBack: () => {} }

export function storeCommand(): Command {
  const store = new Command('store').description('what the store in Redis holds').exitOverride()
  store
    .command('inspect')
    .description('count sessions, queues, retained messages and wills; changes nothing')
    .option('--config <file>', 'configuration file (default: config/gateway.yaml)')
    .addOption(overrideOption())
    .option('--json', 'one JSON object', false)
    .action(inspect)
  store
    .command('migrate')
    .description(
      'take over what Aedes with aedes-persistence-redis has stored; its brokers have to be stopped',
    )
    .requiredOption('--from <url...>', 'Redis of the Aedes installation; several with --cluster')
    .option('--cluster', 'the Aedes installation is on a Redis Cluster', false)
    .option('--config <file>', 'configuration file with the store to write to (default: config/gateway.yaml)')
    .addOption(overrideOption())
    .option('--dry-run', 'only count what there is', false)
    .option(
      '--replace',
      'discard sessions that the store has already, instead of leaving them as they are',
      false,
    )
    .option('--expiry <seconds>', 'session expiry of all sessions (default: never)', seconds, NEVER)
    .option('--json', 'one JSON object', false)
    .addHelpText(
      'after',
      '\nExample:\n  openclaw store migrate --from redis://127.0.0.1:6379 --config config/gateway.yaml --dry-run',
    )
    .action(migrate)
  return store
}

async function inspect({ config: file, set, json }: Common): Promise<void> {
  const { config } = loadConfig({ file, overrides: set, env: process.env })
  if (config.redis === undefined)
    throw new GatewayError('CONFIG_INVALID', 'The configuration has no section `redis`.')
  const connections = new RedisConnections(config.redis, SILENT)
  try {
    const client = await connectedRedis(connections, config.redis.connectTimeoutSeconds * 1_000, systemClock)
    const contents = await inspectStore(client, config.redis.keyPrefix)
    process.stdout.write(json ? `${JSON.stringify(contents)}\n` : contentsText(contents))
  } finally {
    connections.close()
  }
}

async function migrate(options: MigrateOptions): Promise<void> {
  const { config } = loadConfig({ file: options.config, overrides: options.set, env: process.env })
  const telemetry = new Telemetry({
    config: { log: { level: 'warn', format: config.log.format } },
    node: randomBytes(6).toString('hex'),
    listeners: [],
    authenticators: [],
    clock: systemClock,
    destination: process.stderr,
  })
  const source = new RedisConnections(sourceConfig(options), SILENT)
  const { store, connections } = createStores(config, telemetry, systemClock)
  let shown = 0
  try {
    const client = await connectedRedis(source, 10_000, systemClock)
    if (!options.dryRun) await store.open()
    const report = await migrateAedes(client, store, {
      dryRun: options.dryRun,
      replace: options.replace,
      expiryInterval: options.expiry,
      now: systemClock.now(),
      onLeftOut: (what, name, reason) =>
        void process.stderr.write(`left out: ${what} ${JSON.stringify(name)}: ${reason}\n`),
      onProgress(done) {
        if (done < shown + PROGRESS_EVERY) return
        shown = done
        process.stderr.write(`${done} sessions, retained messages and wills\n`)
      },
    })
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : reportText(report, options.dryRun))
  } finally {
    await store.close()
    connections?.close()
    source.close()
    await telemetry.stop()
  }
}

function sourceConfig({ from, cluster }: MigrateOptions): RedisConfig {
  return {
    ...(cluster ? { nodes: [...from] } : { url: from[0] ?? '' }),
    keyPrefix: 'openclaw-migrate',
    waitReplicas: 0,
    connectTimeoutSeconds: 10,
    commandTimeoutSeconds: 30,
  }
}

function contentsText(contents: StoreContents): string {
  const { format, open, longest, damaged } = contents
  if (format === undefined) return 'there is no store under this key prefix\n'
  const lines = [
    `format ${format.version}, ${format.partitions} ${format.partitions === 1 ? 'partition' : 'partitions'}, ${contents.keys} keys`,
    `sessions            ${contents.sessions}`,
    ...Object.entries(open).map(([node, count]) => `  open on ${node}  ${count}`),
    `queued messages     ${contents.queuedMessages} (${contents.queuedBytes} bytes)`,
    ...longest.map(
      ({ clientId, messages, bytes }) => `  ${messages} (${bytes} bytes)  ${JSON.stringify(clientId)}`,
    ),
    `retained messages   ${contents.retainedMessages} (${contents.retainedBytes} bytes)`,
    `wills               ${contents.wills}`,
    `unfinished accepts  ${contents.unfinishedAccepts}`,
    ...damaged.map((clientId) => `damaged: session ${JSON.stringify(clientId)}`),
  ]
  return `${lines.join('\n')}\n`
}

function reportText(report: MigrationReport, dryRun: boolean): string {
  const lines = [
    dryRun ? 'found, nothing written:' : 'taken over:',
    `  sessions           ${report.sessions}, with ${report.subscriptions} subscriptions`,
    `  queued messages    ${report.queued}`,
    `  QoS 2 identifiers  ${report.incoming}`,
    `  retained messages  ${report.retained}`,
    `  wills              ${report.wills}`,
    ...(report.present > 0
      ? [`left as they are: ${report.present} sessions (--replace takes them over)`]
      : []),
    ...(report.released > 0
      ? [`not needed: ${report.released} QoS 2 deliveries that their receivers have`]
      : []),
    ...(report.leftOut > 0 ? [`left out: ${report.leftOut}`] : []),
  ]
  return `${lines.join('\n')}\n`
}

function seconds(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1 || number > NEVER)
    throw new InvalidArgumentError(`a number of seconds from 1 to ${NEVER} is wanted`)
  return number
}
