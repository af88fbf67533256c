import { Command } from 'commander'
import { checkConfig, reportExitCode, reportText } from '../../../config/check-config.js'
import { overrideOption } from './options.js'

interface Options {
  readonly set: readonly string[]
  readonly json: boolean
}

export function checkConfigCommand(): Command {
  return new Command('check-config')
    .description('check a configuration file; starts nothing')
    .argument('[file]', 'configuration file (default: config/gateway.yaml)')
    .addOption(overrideOption())
    .option('--json', 'the report as one JSON object', false)
    .action((file: string | undefined, options: Options) => {
      const report = checkConfig({ file, overrides: options.set, env: process.env })
      const text = options.json ? JSON.stringify(report) : reportText(report)
      const output = report.ok || options.json ? process.stdout : process.stderr
      output.write(`${text}\n`)
      process.exitCode = reportExitCode(report)
    })
}
