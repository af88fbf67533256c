import { randomBytes } from 'node:crypto'
import { Command, InvalidArgumentError } from 'commander'
import { createSecretFile, makeToken, parseClaim, parseExpiry } from '../../access/token.js'
import { EXIT } from '../exit.js'

interface Options {
  readonly secretFile?: string
  readonly jwkFile?: string
  readonly createSecret: boolean
  readonly sub: string
  readonly role: readonly string[]
  readonly claim: ReadonlyMap<string, string>
  readonly issuer?: string
  readonly audience?: string
  readonly expires: number
}

export function tokenCommand(): Command {
  return new Command('token')
    .description('make a token (JWT) for trying out')
    .option('--secret-file <file>', 'shared secret to sign with (HS256)')
    .option('--jwk-file <file>', 'private key to sign with, as JWK or key set')
    .option('--create-secret', 'make the secret file first; it must not exist', false)
    .option('--sub <name>', 'user name', 'demo')
    .option('--role <role>', 'role; may be given several times', collect, [])
    .option('--claim <name=value>', 'further claim; may be given several times', collectClaim, new Map())
    .option('--issuer <text>', '`iss`')
    .option('--audience <text>', '`aud`')
    .option('--expires <duration>', 'time from now: 90s, 15m, 1h, 30d', expiry, 3_600)
    .addHelpText(
      'after',
      '\nExample:\n  openclaw token --secret-file data/jwt.secret --create-secret --sub alice --role viewer',
    )
    .action(run)
}

async function run(options: Options, command: Command): Promise<void> {
  const { secretFile, jwkFile } = options
  if ((secretFile === undefined) === (jwkFile === undefined)) {
    command.error('either --secret-file or --jwk-file is needed', { exitCode: EXIT.usage })
  }
  if (options.createSecret) {
    if (secretFile === undefined)
      command.error('--create-secret needs --secret-file', { exitCode: EXIT.usage })
    await createSecretFile(secretFile, randomBytes)
  }
  const token = await makeToken({
    key: secretFile === undefined ? { jwkFile: jwkFile ?? '' } : { secretFile },
    subject: options.sub,
    roles: options.role,
    claims: options.claim,
    issuer: options.issuer,
    audience: options.audience,
    expiresInSeconds: options.expires,
    now: Date.now(),
  })
  process.stdout.write(`${token}\n`)
}

function collect(value: string, former: readonly string[]): readonly string[] {
  return [...former, value]
}

function collectClaim(text: string, former: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const claim = parseClaim(text)
  if (claim === undefined)
    throw new InvalidArgumentError('name=value is wanted; sub, roles and times have options of their own')
  return new Map([...former, claim])
}

function expiry(text: string): number {
  const seconds = parseExpiry(text)
  if (seconds === undefined) throw new InvalidArgumentError('a duration such as 15m or 1h is wanted')
  return seconds
}
