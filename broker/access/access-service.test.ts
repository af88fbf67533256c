import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { configSchema, type ConfigInput } from '../../config/schema.js'
import { AccessService } from './access-service.js'
import { addScramUser } from './scram/add-user.js'
import { ManualClock } from '../contract/testing/manual-clock.js'
import { credentials, RecordedEvents } from './testing.js'

let folder: string
const secret = 's'.repeat(64)
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'access-'))
  await writeFile(join(folder, 'secret'), secret)
  await writeFile(join(folder, 'other'), 'o'.repeat(64))
})
afterAll(() => rm(folder, { recursive: true }))

function setUp(auth: ConfigInput['auth']) {
  const clock = new ManualClock()
  const events = new RecordedEvents()
  const refuse = () => Promise.reject(new Error('no network in this test'))
  const access = new AccessService(configSchema.parse({ auth }).auth, {
    clock,
    events,
    fetch: refuse,
    randomBytes,
  })
  return { access, clock, events }
}

const hmac = (file: string, fields = {}) => ({
  type: 'jwt' as const,
  secretFile: join(folder, file),
  algorithms: ['HS256' as const],
  ...fields,
})
const sign = (claims: Record<string, unknown>, key = secret) =>
  new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(key))

describe('the access service', () => {
  it('lets tokens of several issuers in, each by its own keys', async () => {
    const { access, events } = setUp({
      anonymous: 'never',
      authenticators: [
        hmac('secret', { name: 'staff', issuer: 'staff' }),
        hmac('other', { name: 'devices', issuer: 'devices' }),
      ],
    })
    await access.start()
    expect(events.lines.toSorted()).toEqual(['keys devices: 1', 'keys staff: 1'])
    const decide = async (token: Promise<string>) =>
      access.decide(credentials({ password: Buffer.from(await token) }))
    expect(await decide(sign({ sub: 'ann', iss: 'staff' }))).toMatchObject({
      principal: { grantedBy: 'staff' },
    })
    expect(await decide(sign({ sub: 'd1', iss: 'devices' }, 'o'.repeat(64)))).toMatchObject({
      principal: { grantedBy: 'devices' },
    })
    expect(await decide(sign({ sub: 'd1', iss: 'staff' }, 'o'.repeat(64)))).toMatchObject({
      reason: 'token_invalid',
    })
    expect(await decide(sign({ sub: 'd1', iss: 'stranger' }))).toMatchObject({ reason: 'bad_credentials' })
    await access.stop()
  })

  it('refuses everybody before its start and after its stop, and can start again', async () => {
    const { access } = setUp({ authenticators: [hmac('secret')] })
    const shown = credentials({ password: Buffer.from(await sign({ sub: 'ann' })) })
    expect((await access.decide(shown)).kind).toBe('refused')
    await access.start()
    expect((await access.decide(shown)).kind).toBe('granted')
    await access.stop()
    await access.stop()
    expect((await access.decide(shown)).kind).toBe('refused')
    await access.start()
    expect((await access.decide(shown)).kind).toBe('granted')
    await access.stop()
  })

  it('does not start with a key file that cannot be used, and leaves nothing running', async () => {
    const { access, clock } = setUp({
      authenticators: [{ type: 'jwt', name: 'idp', jwksUrl: 'https://id.example/keys' }, hmac('missing')],
    })
    await expect(access.start()).rejects.toMatchObject({ code: 'KEYS_UNREADABLE' })
    expect(clock.pendingTimers).toBe(0)
  })

  it('starts while a key server is away, refuses tokens, and says that it is not ready', async () => {
    const { access, events, clock } = setUp({
      authenticators: [{ type: 'jwt', name: 'idp', jwksUrl: 'https://id.example/keys' }],
    })
    await access.start()
    expect(access.readiness()).toMatchObject({ ready: false })
    const token = await new SignJWT({ sub: 'ann' })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(Buffer.from(secret))
    const asRs256 = `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.${token.split('.').slice(1).join('.')}`
    expect(await access.decide(credentials({ password: Buffer.from(asRs256) }))).toEqual({
      kind: 'refused',
      reason: 'authenticator_failed',
    })
    expect(events.lines.at(-1)).toBe('failed idp: https://id.example/keys: no keys have been fetched yet')
    expect(events.lines.join()).not.toContain(asRs256)
    await access.stop()
    expect(clock.pendingTimers).toBe(0)
  })

  it('serves SCRAM as a method of enhanced authentication, beside the chain', async () => {
    const usersFile = join(folder, 'users')
    await addScramUser(usersFile, { username: 'ann', password: 'pencil', roles: [] }, { randomBytes })
    const { access, events } = setUp({ authenticators: [hmac('secret'), { type: 'scram', usersFile }] })
    await access.start()
    expect(events.lines.toSorted()).toEqual(['keys jwt: 1', 'keys scram: 1'])
    expect(access.mechanism('SCRAM-SHA-1')).toBeUndefined()
    const exchange = access.mechanism('SCRAM-SHA-256')?.begin({
      clientId: 'c1',
      username: undefined,
      current: undefined,
    })
    expect(await exchange?.step(Buffer.from('n,,n=ann,r=x'))).toMatchObject({ kind: 'continue' })
    expect(await exchange?.step(Buffer.from('c=biws,r=x,p=AAAA'))).toEqual({
      kind: 'refused',
      reason: 'bad_credentials',
    })
    await access.stop()
    expect(await exchange?.step(undefined)).toEqual({ kind: 'refused', reason: 'server_busy' })
  })

  it('needs no authenticator for anonymous clients on this machine', async () => {
    const { access } = setUp({})
    await access.start()
    expect(access.readiness()).toEqual({ ready: true })
    expect((await access.decide(credentials({ loopback: true }))).kind).toBe('granted')
    expect((await access.decide(credentials())).kind).toBe('refused')
    await access.stop()
  })
})
