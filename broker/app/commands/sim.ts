import { Command } from 'commander'
import { runSim, simFlags } from '../../../devices-sim/index.js'
import { shutdownSignal } from '../shutdown.js'

export function simCommand(): Command {
  const command = new Command('sim').description('run a fleet of simulated devices against a broker')
  for (const [flag, description] of simFlags) command.option(flag, description)
  return command.action(async (options: Record<string, unknown>) => {
    const { stdout: out, stderr: err, env: environment } = process
    process.exitCode = await runSim(options, { out, err, environment, signal: shutdownSignal() })
  })
}
