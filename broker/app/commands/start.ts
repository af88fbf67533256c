import { Command } from 'commander'
import { sourceText } from '../../../config/check-config.js'
import { loadConfig } from '../../../config/load.js'
import { buildGateway } from '../gateway.js'
import { aborted, shutdownSignal } from '../shutdown.js'
import { buildNode, workerCount } from '../workers/node.js'
import { overrideOption } from './options.js'

interface Options {
  readonly config?: string
  readonly set: readonly string[]
}

export function startCommand(): Command {
  return new Command('start')
    .description('run the gateway')
    .option('--config <file>', 'configuration file (default: config/gateway.yaml)')
    .addOption(overrideOption())
    .action(async (options: Options) => {
      const stop = shutdownSignal()
      const { config, source } = loadConfig({
        file: options.config,
        overrides: options.set,
        env: process.env,
      })
      const gateway =
        workerCount(config) > 1
          ? buildNode(config, sourceText(source))
          : await buildGateway(config, { configSource: sourceText(source), environment: process.env })
      await gateway.start()
      await aborted(stop)
      await gateway.stop()
    })
}
