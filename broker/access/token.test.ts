import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exportJWK, generateKeyPair } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { configSchema, type ConfigInput } from '../../config/schema.js'
import { AccessService } from './access-service.js'
import { ManualClock } from '../contract/testing/manual-clock.js'
import { credentials, RecordedEvents } from './testing.js'
import { createSecretFile, makeToken, parseClaim, parseExpiry, type TokenOptions } from './token.js'

let folder: string
const clock = new ManualClock()
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'token-'))
})
afterAll(() => rm(folder, { recursive: true }))

type Authenticators = NonNullable<NonNullable<ConfigInput['auth']>['authenticators']>

async function decide(token: string, authenticator: Authenticators[number]) {
  const { auth } = configSchema.parse({ auth: { authenticators: [authenticator] } })
  const access = new AccessService(auth, { clock, events: new RecordedEvents(), fetch, randomBytes })
  await access.start()
  const decision = await access.decide(credentials({ password: Buffer.from(token) }))
  await access.stop()
  return decision
}

function options(key: TokenOptions['key'], fields: Partial<TokenOptions> = {}): TokenOptions {
  return {
    key,
    subject: 'ann',
    roles: [],
    claims: new Map(),
    expiresInSeconds: 3_600,
    now: clock.now(),
    ...fields,
  }
}

describe('makeToken', () => {
  it('with a fresh secret makes what the gateway lets in', async () => {
    const secretFile = join(folder, 'secret')
    await createSecretFile(secretFile, randomBytes)
    const token = await makeToken(
      options(
        { secretFile },
        { roles: ['admin', 'ops'], claims: new Map([['tenant', 'acme']]), issuer: 'me' },
      ),
    )
    const decision = await decide(token, { type: 'jwt', secretFile, algorithms: ['HS256'], issuer: 'me' })
    expect(decision).toMatchObject({
      kind: 'granted',
      principal: {
        username: 'ann',
        roles: ['admin', 'ops'],
        claims: { tenant: 'acme', iss: 'me' },
        expiresAt: clock.now() + 3_605_000,
      },
    })
  })

  it.each(['ES256', 'ES384', 'EdDSA', 'RS256'] as const)('with a private key for %s', async (algorithm) => {
    const { privateKey } = await generateKeyPair(algorithm, { extractable: true })
    const jwkFile = join(folder, `${algorithm}.json`)
    await writeFile(jwkFile, JSON.stringify({ keys: [{ ...(await exportJWK(privateKey)), kid: 'k' }] }))
    const token = await makeToken(options({ jwkFile }, { expiresInSeconds: undefined, audience: 'mqtt' }))
    const decision = await decide(token, {
      type: 'jwt',
      jwksFile: jwkFile,
      algorithms: [algorithm],
      audience: 'mqtt',
    })
    expect(decision).toMatchObject({ principal: { username: 'ann', roles: [], expiresAt: undefined } })
  })

  it('says which file is no key, and nothing of what is in it', async () => {
    const jwkFile = join(folder, 'bad.json')
    const failure = async () => {
      const error: unknown = await makeToken(options({ jwkFile })).catch((reason: unknown) => reason)
      expect(error).toMatchObject({ code: 'KEYS_UNREADABLE' })
      return (error as Error).message
    }
    expect(await failure()).toMatch(/ENOENT/)
    const { publicKey } = await generateKeyPair('ES256', { extractable: true })
    for (const content of [
      'topsecret',
      '{"keys":["topsecret"]}',
      '{"kty":"EC","d":"topsecret"}',
      JSON.stringify(await exportJWK(publicKey)),
    ]) {
      await writeFile(jwkFile, content)
      const message = await failure()
      expect(message).toMatch(/bad\.json: holds no private key/)
      expect(message).not.toMatch(/topsecret/)
    }
  })
})

describe('createSecretFile', () => {
  it('makes a file that only its owner may read, and overwrites none', async () => {
    const path = join(folder, 'fresh')
    await createSecretFile(path, randomBytes)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    const content = await readFile(path, 'utf8')
    expect(content).toMatch(/^[\w-]{64}\n$/)
    await expect(createSecretFile(path, randomBytes)).rejects.toMatchObject({ code: 'KEYS_UNREADABLE' })
    expect(await readFile(path, 'utf8')).toBe(content)
  })
})

describe('what the command line brings', () => {
  it.each([
    ['tenant=acme', ['tenant', 'acme']],
    ['a=b=c', ['a', 'b=c']],
    ['a=', ['a', '']],
    ['a', undefined],
    ['=a', undefined],
    ['exp=1', undefined],
    ['sub=root', undefined],
  ])('claim %s', (text, expected) => {
    expect(parseClaim(text)).toEqual(expected)
  })

  it.each([
    ['90s', 90],
    ['15m', 900],
    ['1h', 3_600],
    ['30d', 2_592_000],
    ['0s', undefined],
    ['1', undefined],
    ['-1h', undefined],
    ['1h30m', undefined],
    ['9999999999d', undefined],
  ])('expiry %s', (text, expected) => {
    expect(parseExpiry(text)).toBe(expected)
  })
})
