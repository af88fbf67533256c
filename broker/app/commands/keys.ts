import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import { Command, InvalidArgumentError } from 'commander'
import { addScramUser } from '../../access/scram/add-user.js'
import { MAX_ITERATIONS, MIN_ITERATIONS } from '../../access/scram/verifier.js'
import { EXIT } from '../exit.js'

interface ScramOptions {
  readonly role: readonly string[]
  readonly iterations?: number
  readonly generate: boolean
}

export function keysCommand(): Command {
  const keys = new Command('keys').description('credentials of clients').exitOverride()
  keys
    .command('scram')
    .description(
      'put a user into the users file of a `scram` authenticator; the password is read from standard input',
    )
    .argument('<file>', 'users file; made when it is missing')
    .argument('<username>', 'user name; replaced when it is in the file')
    .option('--role <role>', 'role; may be given several times', collect, [])
    .option(
      '--iterations <number>',
      'work of a client for a login, the same for all users of a file',
      iterations,
    )
    .option('--generate', 'make a password and print it', false)
    .addHelpText(
      'after',
      '\nExample:\n  openclaw keys scram data/users.scram alice --role viewer < password.txt',
    )
    .action(scram)
  return keys
}

async function scram(file: string, username: string, options: ScramOptions, command: Command): Promise<void> {
  if (!options.generate && process.stdin.isTTY)
    command.error('the password is read from standard input, where it would be seen; or use --generate', {
      exitCode: EXIT.usage,
    })
  const password = options.generate ? randomBytes(24).toString('base64url') : await firstLine(process.stdin)
  const outcome = await addScramUser(
    file,
    { username, password, roles: options.role },
    { iterations: options.iterations, randomBytes },
  )
  process.stderr.write(`${outcome} ${username}; the gateway reads the file when it starts\n`)
  if (options.generate) process.stdout.write(`${password}\n`)
}

async function firstLine(input: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input })) return line
  return ''
}

function collect(value: string, former: readonly string[]): readonly string[] {
  return [...former, value]
}

function iterations(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < MIN_ITERATIONS || number > MAX_ITERATIONS)
    throw new InvalidArgumentError(`a number from ${MIN_ITERATIONS} to ${MAX_ITERATIONS} is wanted`)
  return number
}
