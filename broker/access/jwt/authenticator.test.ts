import fc from 'fast-check'
import { exportJWK, generateKeyPair, SignJWT, type JWTPayload } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import type { JwtAuthenticatorConfig } from '../../../config/schema.js'
import { GatewayError } from '../../contract/errors.js'
import { ManualClock } from '../../contract/testing/manual-clock.js'
import { credentials } from '../testing.js'
import { JwtAuthenticator } from './authenticator.js'
import { readKeySet } from './key-set.js'
import type { VerificationKeys } from './verification-keys.js'

const secret = new Uint8Array(64).fill(7)
const clock = new ManualClock()
const nowSeconds = clock.now() / 1000

function config(fields: Partial<JwtAuthenticatorConfig> = {}): JwtAuthenticatorConfig {
  return {
    type: 'jwt',
    name: 'jwt',
    secretFile: 'unused',
    algorithms: ['HS256'],
    usernameClaim: 'sub',
    rolesClaim: 'roles',
    clockToleranceSeconds: 5,
    timeoutSeconds: 5,
    ...fields,
  }
}

function keysOf(keyFor: VerificationKeys['keyFor']): VerificationKeys {
  return {
    open: () => Promise.resolve(),
    close: () => Promise.resolve(),
    keyFor,
    readiness: () => ({ ready: true }),
  }
}

function authenticator(
  fields: Partial<JwtAuthenticatorConfig> = {},
  keyFor: VerificationKeys['keyFor'] = () => secret,
) {
  return new JwtAuthenticator(config(fields), keysOf(keyFor), clock)
}

function sign(
  claims: JWTPayload,
  header: Record<string, unknown> = {},
  key: Parameters<SignJWT['sign']>[0] = secret,
) {
  return new SignJWT(claims).setProtectedHeader({ alg: 'HS256', ...header }).sign(key)
}

/** A token with any header and body, signed by hand or not at all. */
function forged(header: unknown, body: unknown, signature = ''): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part(header)}.${part(body)}.${signature}`
}

const shown = (token: string, fields = {}) => credentials({ password: Buffer.from(token), ...fields })
const refused = (reason: string) => ({ kind: 'refused', reason })

describe('where the token is', () => {
  it('is taken from the password', async () => {
    const decision = await authenticator().authenticate(shown(await sign({ sub: 'ann' })))
    expect(decision).toMatchObject({ kind: 'granted', principal: { username: 'ann', grantedBy: 'jwt' } })
  })

  it('is taken from the WebSocket handshake', async () => {
    const bearerToken = await sign({ sub: 'ann' })
    for (const password of [undefined, Buffer.alloc(0)])
      expect(await authenticator().authenticate(credentials({ bearerToken, password }))).toMatchObject({
        kind: 'granted',
      })
  })

  it('is taken from the handshake only when there is no password', async () => {
    const bearerToken = await sign({ sub: 'ann' })
    expect(
      await authenticator().authenticate(credentials({ bearerToken, password: Buffer.from('hunter2') })),
    ).toEqual({ kind: 'not-mine' })
    expect(
      await authenticator().authenticate(shown(await sign({ sub: 'bob' }), { bearerToken })),
    ).toMatchObject({ principal: { username: 'bob' } })
  })

  it.each([
    ['nothing', undefined],
    ['a password', 'hunter2'],
    ['a password with dots', 'www.example.com'],
    ['three parts that are not a token', 'e30.e30.e30'],
    ['five parts (encrypted)', 'eyJhbGciOiJkaXIifQ..a.b.c'],
    ['bytes that are not text', '\u00ff.\u0000.'],
  ])('leaves %s to others', async (_, password) => {
    const given = credentials({
      password: password === undefined ? undefined : Buffer.from(password, 'latin1'),
    })
    expect(await authenticator().authenticate(given)).toEqual({ kind: 'not-mine' })
  })
})

describe('signature', () => {
  it('has to fit', async () => {
    const token = await sign({ sub: 'ann' })
    const other = await sign({ sub: 'ann' }, {}, new Uint8Array(64).fill(8))
    expect(await authenticator().authenticate(shown(other))).toEqual(refused('token_invalid'))
    expect(await authenticator().authenticate(shown(token.slice(0, -2)))).toEqual(refused('token_invalid'))
    const [header, , signature] = token.split('.')
    const body = Buffer.from('{"sub":"root"}').toString('base64url')
    expect(await authenticator().authenticate(shown(`${header ?? ''}.${body}.${signature ?? ''}`))).toEqual(
      refused('token_invalid'),
    )
  })

  it.each(['none', 'None', 'NONE', 'nOnE', ''])('cannot be left away by alg %j', async (alg) => {
    for (const algorithms of [['HS256'], ['RS256', 'ES256']] as JwtAuthenticatorConfig['algorithms'][])
      expect(
        await authenticator({ algorithms }).authenticate(shown(forged({ alg }, { sub: 'root' }))),
      ).toEqual(refused('token_invalid'))
  })

  it('has to be made with a listed algorithm', async () => {
    const token = await sign({ sub: 'ann' }, { alg: 'HS512' })
    expect(await authenticator().authenticate(shown(token))).toEqual(refused('token_invalid'))
    expect(await authenticator({ algorithms: ['HS256', 'HS512'] }).authenticate(shown(token))).toMatchObject({
      kind: 'granted',
    })
  })

  it('is refused when the header demands extensions that we do not know', async () => {
    const token = forged({ alg: 'HS256', crit: ['x-unknown'], 'x-unknown': 1 }, { sub: 'ann' }, 'AAAA')
    expect(await authenticator().authenticate(shown(token))).toEqual(refused('token_invalid'))
    const unencoded = forged({ alg: 'HS256', crit: ['b64'], b64: false }, { sub: 'ann' }, 'AAAA')
    expect(await authenticator().authenticate(shown(unencoded))).toEqual(refused('token_invalid'))
  })

  it('cannot bring its own key', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
    const header = {
      alg: 'ES256',
      jwk: await exportJWK(publicKey),
      jku: 'https://example.com/keys',
      kid: 'k',
    }
    const own = await generateKeyPair('ES256', { extractable: true })
    const set = await readKeySet(JSON.stringify(await exportJWK(own.publicKey)), ['ES256'])
    const subject = authenticator({ algorithms: ['ES256'] }, set.keyFor)
    expect(await subject.authenticate(shown(await sign({ sub: 'ann' }, header, privateKey)))).toEqual(
      refused('token_invalid'),
    )
  })

  it('of a shared secret cannot be made from a public key', async () => {
    const { publicKey } = await generateKeyPair('RS256', { extractable: true })
    const jwk = await exportJWK(publicKey)
    const set = await readKeySet(JSON.stringify(jwk), ['RS256'])
    const token = await sign({ sub: 'root' }, {}, Buffer.from(JSON.stringify(jwk)))
    const subject = authenticator({ algorithms: ['RS256'] }, set.keyFor)
    expect(await subject.authenticate(shown(token))).toEqual(refused('token_invalid'))
  })
})

describe('key pairs', () => {
  let first: Awaited<ReturnType<typeof generateKeyPair>>
  let second: Awaited<ReturnType<typeof generateKeyPair>>
  beforeAll(async () => {
    first = await generateKeyPair('ES256', { extractable: true })
    second = await generateKeyPair('ES256', { extractable: true })
  })

  it.each(['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'] as const)('%s', async (alg) => {
    const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
    const set = await readKeySet(JSON.stringify({ keys: [await exportJWK(publicKey)] }), [alg])
    const decision = await authenticator({ algorithms: [alg] }, set.keyFor).authenticate(
      shown(await sign({ sub: 'ann' }, { alg }, privateKey)),
    )
    expect(decision).toMatchObject({ kind: 'granted' })
  })

  it('are found by their name, or tried one after another when the token names none', async () => {
    const keys = [
      { ...(await exportJWK(first.publicKey)), kid: '1' },
      { ...(await exportJWK(second.publicKey)), kid: '2' },
    ]
    const set = await readKeySet(JSON.stringify({ keys }), ['ES256'])
    const subject = authenticator({ algorithms: ['ES256'] }, set.keyFor)
    const header = { alg: 'ES256' }
    const unnamed = await sign({ sub: 'ann' }, header, second.privateKey)
    expect(await subject.authenticate(shown(unnamed))).toMatchObject({ kind: 'granted' })
    const misnamed = await sign({ sub: 'ann' }, { ...header, kid: '1' }, second.privateKey)
    expect(await subject.authenticate(shown(misnamed))).toEqual(refused('token_invalid'))
    const stranger = await generateKeyPair('ES256')
    expect(
      await subject.authenticate(shown(await sign({ sub: 'ann' }, header, stranger.privateKey))),
    ).toEqual(refused('token_invalid'))
    const expired = await sign({ sub: 'ann', exp: 1 }, header, second.privateKey)
    expect(await subject.authenticate(shown(expired))).toEqual(refused('token_expired'))
  })
})

describe('claims', () => {
  it('of time are checked with the tolerance', async () => {
    const at = async (claims: JWTPayload) =>
      authenticator().authenticate(shown(await sign({ sub: 'ann', ...claims })))
    expect(await at({ exp: nowSeconds - 4 })).toMatchObject({ kind: 'granted' })
    expect(await at({ exp: nowSeconds - 5 })).toEqual(refused('token_expired'))
    expect(await at({ nbf: nowSeconds + 5 })).toMatchObject({ kind: 'granted' })
    expect(await at({ nbf: nowSeconds + 6 })).toEqual(refused('token_not_yet_valid'))
    expect(await at({ exp: '5' as unknown as number })).toEqual(refused('token_invalid'))
  })

  it('say when the connection ends, tolerance included', async () => {
    const at = async (claims: JWTPayload) =>
      authenticator().authenticate(shown(await sign({ sub: 'ann', ...claims })))
    expect(await at({ exp: nowSeconds + 60 })).toMatchObject({
      principal: { expiresAt: clock.now() + 65_000 },
    })
    expect(await at({})).toMatchObject({ principal: { expiresAt: undefined } })
    expect(await at({ exp: 1e300 })).toMatchObject({ principal: { expiresAt: Number.MAX_SAFE_INTEGER } })
  })

  it('name issuer and audience, where they are configured', async () => {
    const subject = authenticator({ issuer: 'https://id.example', audience: 'mqtt' })
    const at = async (claims: JWTPayload) =>
      subject.authenticate(shown(await sign({ sub: 'ann', ...claims })))
    expect(await at({ iss: 'https://id.example', aud: ['web', 'mqtt'] })).toMatchObject({ kind: 'granted' })
    expect(await at({ iss: 'https://id.example', aud: 'web' })).toEqual(refused('token_invalid'))
    expect(await at({ iss: 'https://id.example' })).toEqual(refused('token_invalid'))
    expect(await at({ aud: 'mqtt' })).toEqual(refused('token_invalid'))
    // Another issuer: perhaps the next authenticator's.
    expect(await at({ iss: 'https://other.example', aud: 'mqtt' })).toEqual({ kind: 'not-mine' })
  })

  it('name the user, whom CONNECT may repeat or leave out but not contradict', async () => {
    const token = await sign({ sub: 'ann' })
    for (const username of [undefined, '', 'ann'])
      expect(await authenticator().authenticate(shown(token, { username }))).toMatchObject({
        principal: { username: 'ann' },
      })
    expect(await authenticator().authenticate(shown(token, { username: 'bob' }))).toEqual(
      refused('username_mismatch'),
    )
    for (const sub of ['', 7, null, ['ann']])
      expect(await authenticator().authenticate(shown(await sign({ sub } as JWTPayload)))).toEqual(
        refused('token_invalid'),
      )
    const named = authenticator({ usernameClaim: 'constructor' })
    expect(await named.authenticate(shown(token))).toEqual(refused('token_invalid'))
  })

  it('may name the client identifier', async () => {
    const subject = authenticator({ clientIdClaim: 'device' })
    const at = async (claims: JWTPayload, clientId = 'c1') =>
      subject.authenticate(shown(await sign({ sub: 'ann', ...claims }), { clientId }))
    expect(await at({ device: 'c1' })).toMatchObject({ kind: 'granted' })
    expect(await at({ device: 'c2' })).toEqual(refused('client_id_mismatch'))
    expect(await at({})).toEqual(refused('client_id_mismatch'))
  })

  it('hold the roles', async () => {
    const at = async (roles: unknown) =>
      authenticator().authenticate(shown(await sign({ sub: 'ann', roles })))
    expect(await at(['a', 'b'])).toMatchObject({ principal: { roles: ['a', 'b'] } })
    expect(await at('a')).toMatchObject({ principal: { roles: ['a'] } })
    expect(await at(undefined)).toMatchObject({ principal: { roles: [] } })
    for (const odd of [7, null, {}, ['a', 7], Array(257).fill('a')])
      expect(await at(odd)).toEqual(refused('token_invalid'))
  })

  it('are kept when they are strings or finite numbers', async () => {
    const body = Buffer.from(
      '{"sub":"ann","tenant":"acme","n":7,"huge":1e999,"nested":{"a":1},"list":["a"],"yes":true,"none":null,"__proto__":"p","constructor":"c"}',
    ).toString('base64url')
    const header = Buffer.from('{"alg":"HS256"}').toString('base64url')
    const key = await crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, [
      'sign',
    ])
    const mac = await crypto.subtle.sign('HMAC', key, Buffer.from(`${header}.${body}`))
    const token = `${header}.${body}.${Buffer.from(mac).toString('base64url')}`
    const decision = await authenticator().authenticate(shown(token))
    if (decision.kind !== 'granted') throw new Error(decision.kind)
    expect(Object.entries(decision.principal.claims)).toEqual([
      ['sub', 'ann'],
      ['tenant', 'acme'],
      ['n', 7],
      ['__proto__', 'p'],
      ['constructor', 'c'],
    ])
    expect('toString' in decision.principal.claims).toBe(false)
  })
})

describe('what goes wrong here', () => {
  it('is not blamed on the token', async () => {
    const broken = authenticator({}, () => {
      throw new GatewayError('KEYS_UNREADABLE', 'no keys')
    })
    await expect(broken.authenticate(shown(await sign({ sub: 'ann' })))).rejects.toMatchObject({
      code: 'KEYS_UNREADABLE',
    })
  })
})

describe('arbitrary tokens', () => {
  it('are refused or left to others, and never fail', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
    const set = await readKeySet(JSON.stringify(await exportJWK(publicKey)), ['ES256'])
    const subject = authenticator({ algorithms: ['ES256', 'RS256'], issuer: 'i' }, set.keyFor)
    const good = await sign({ sub: 'ann', iss: 'i' }, { alg: 'ES256' }, privateKey)
    expect(await subject.authenticate(shown(good))).toMatchObject({ kind: 'granted' })
    const mutated = fc
      .tuple(fc.nat(good.length - 1), fc.constantFrom('A', '_', '.', 'z', ''), fc.boolean())
      .map(([at, text, cut]) =>
        cut ? good.slice(0, at) + text : good.slice(0, at) + text + good.slice(at + 1),
      )
      .filter((text) => text !== good)
    const built = fc
      .tuple(
        fc.object({ key: fc.constantFrom('alg', 'kid', 'crit', 'b64', 'typ', 'x') }),
        fc.jsonValue(),
        fc.base64String(),
      )
      .map(([header, body, signature]) =>
        forged({ alg: 'ES256', ...header }, body, signature.replace(/[+/=]/g, '_')),
      )
    await fc.assert(
      fc.asyncProperty(fc.oneof(mutated, built, fc.string()), async (text) => {
        const { kind } = await subject.authenticate(shown(text))
        // The last character of a base64url part has bits that say nothing: such a change is none.
        const same = text.slice(0, -1) === good.slice(0, -1) && text.length === good.length
        if (!same) expect(['refused', 'not-mine']).toContain(kind)
      }),
      { numRuns: 1_000 },
    )
  })
})
