#!/usr/bin/env node
import { Command, CommanderError } from 'commander'
import { bridgesCommand } from './commands/bridges.js'
import { checkConfigCommand } from './commands/check-config.js'
import { demoCommand } from './commands/demo.js'
import { drainCommand } from './commands/drain.js'
import { keysCommand } from './commands/keys.js'
import { loadCommand } from './commands/load.js'
import { simCommand } from './commands/sim.js'
import { startCommand } from './commands/start.js'
import { storeCommand } from './commands/store.js'
import { tokenCommand } from './commands/token.js'
import { EXIT, failureText } from './exit.js'
import { PACKAGE_VERSION } from './package.js'

const program = new Command('openclaw')
  .description('MQTT gateway for IoT devices and browsers')
  .version(PACKAGE_VERSION)
  .showHelpAfterError('(openclaw --help shows what there is)')
  .exitOverride()

for (const command of [
  startCommand(),
  drainCommand(),
  checkConfigCommand(),
  demoCommand(),
  bridgesCommand(),
  simCommand(),
  loadCommand(),
  storeCommand(),
  keysCommand(),
  tokenCommand(),
]) {
  command.exitOverride()
  program.addCommand(command)
}

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage
  } else {
    const { text, code } = failureText(error)
    process.stderr.write(`${text}\n`)
    process.exitCode = code
  }
}
