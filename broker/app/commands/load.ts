import { Argument, Command } from 'commander'
import { loadFlags, runLoad, workNames } from '../../../load-tests/index.js'
import { shutdownSignal } from '../shutdown.js'

export function loadCommand(): Command {
  const command = new Command('load')
    .description('measure a broker under load, alone or against others')
    .addArgument(
      new Argument('<scenario>', 'the kind of load; targets: all rows of the target table').choices(
        workNames,
      ),
    )
  for (const [flag, description] of loadFlags) command.option(flag, description)
  return command.action(async (scenario: string, options: Record<string, unknown>) => {
    const { stdout: out, stderr: err, argv } = process
    const shown = ['openclaw', ...argv.slice(2)].join(' ')
    process.exitCode = await runLoad(scenario, options, {
      out,
      err,
      signal: shutdownSignal(),
      command: shown,
    })
  })
}
