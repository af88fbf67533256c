import { createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { AuthenticationExchange, ExchangePeer } from '../../contract/enhanced-authentication.js'
import { RecordedEvents } from '../testing.js'
import { addScramUser } from './add-user.js'
import { ScramMechanism } from './mechanism.js'
import { parseClientFinal, parseClientFirst } from './messages.js'
import { ScramUsers } from './users.js'
import { deriveVerifier, hmac, proves, serverSignature } from './verifier.js'

let folder: string
let usersFile: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'scram-'))
})
afterAll(() => rm(folder, { recursive: true }))
let files = 0
beforeEach(() => {
  usersFile = join(folder, `users-${files++}`)
})

const add = (username: string, password: string, roles: string[] = []) =>
  addScramUser(usersFile, { username, password, roles }, { randomBytes, iterations: 4_096 })

async function opened(random = randomBytes): Promise<ScramMechanism> {
  const mechanism = new ScramMechanism({
    name: 'scram',
    usersFile,
    events: new RecordedEvents(),
    randomBytes: random,
  })
  await mechanism.open()
  return mechanism
}

const peer = (fields: Partial<ExchangePeer> = {}): ExchangePeer => ({
  clientId: 'c1',
  username: undefined,
  current: undefined,
  ...fields,
})

async function continued(exchange: AuthenticationExchange, text: string | undefined): Promise<string> {
  const step = await exchange.step(text === undefined ? undefined : Buffer.from(text))
  if (step.kind !== 'continue') throw new Error(step.kind)
  return step.data.toString()
}

/** A client as RFC 5802 describes it, written apart from the server's code. */
function clientFinal(password: string, firstBare: string, serverFirst: string, gs2Header = 'n,,') {
  const fields = new Map(serverFirst.split(',').map((field) => [field.slice(0, 1), field.slice(2)]))
  const salted = pbkdf2Sync(
    password,
    Buffer.from(fields.get('s') ?? '', 'base64'),
    Number(fields.get('i')),
    32,
    'sha256',
  )
  const mac = (key: Buffer, text: string | Buffer) => createHmac('sha256', key).update(text).digest()
  const clientKey = mac(salted, 'Client Key')
  const withoutProof = `c=${Buffer.from(gs2Header).toString('base64')},r=${fields.get('r') ?? ''}`
  const authMessage = `${firstBare},${serverFirst},${withoutProof}`
  const storedKey = crypto.subtle.digest('SHA-256', clientKey)
  return storedKey.then((key) => {
    const signature = mac(Buffer.from(key), authMessage)
    const proof = Buffer.from(clientKey.map((byte, index) => byte ^ (signature[index] ?? 0)))
    return {
      message: `${withoutProof},p=${proof.toString('base64')}`,
      serverFinal: `v=${mac(mac(salted, 'Server Key'), authMessage).toString('base64')}`,
    }
  })
}

async function login(
  mechanism: ScramMechanism,
  name: string,
  password: string,
  with_: Partial<ExchangePeer> = {},
) {
  const exchange = mechanism.begin(peer(with_))
  const bare = `n=${name},r=clientnonce`
  const serverFirst = await continued(exchange, `n,,${bare}`)
  const { message, serverFinal } = await clientFinal(password, bare, serverFirst)
  return { step: await exchange.step(Buffer.from(message)), serverFinal }
}

describe('the example of RFC 7677, section 3', () => {
  const bare = 'n=user,r=rOprNGfwEbeRWgbNEkqO'
  const serverFirst = 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096'
  const withoutProof = 'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0'
  const proof = Buffer.from('dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=', 'base64')
  const authMessage = `${bare},${serverFirst},${withoutProof}`

  it('is understood, proof and signature', async () => {
    const verifier = await deriveVerifier('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'), 4_096)
    expect(proves(verifier, authMessage, proof)).toBe(true)
    expect(serverSignature(verifier, authMessage).toString('base64')).toBe(
      '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
    )
    const wrong = Buffer.from(proof)
    wrong[31] = (wrong[31] ?? 0) ^ 1
    expect(proves(verifier, authMessage, wrong)).toBe(false)
    expect(proves(verifier, authMessage, proof.subarray(1))).toBe(false)
    expect(proves(verifier, `${authMessage} `, proof)).toBe(false)
  })

  it('runs through the exchange', async () => {
    const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')
    const { storedKey, serverKey } = await deriveVerifier('pencil', salt, 4_096)
    const [salt64, stored64, server64] = [salt, storedKey, serverKey].map((bytes) => bytes.toString('base64'))
    await writeFile(
      usersFile,
      `{"scramUsers":1,"iterations":4096,"secret":"${Buffer.alloc(32).toString('base64')}"}
       {"username":"user","salt":"${salt64 ?? ''}","storedKey":"${stored64 ?? ''}","serverKey":"${server64 ?? ''}"}`,
    )
    // The nonce of the example is not base64, ours is: the exchange is the same with the client's part of it.
    const exchange = (await opened()).begin(peer())
    const answer = await continued(exchange, `n,,${bare}`)
    expect(answer).toMatch(/^r=rOprNGfwEbeRWgbNEkqO[\w+/]{24},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096$/)
    const { message, serverFinal } = await clientFinal('pencil', bare, answer)
    expect(await exchange.step(Buffer.from(message))).toMatchObject({
      kind: 'success',
      data: Buffer.from(serverFinal),
    })
  })
})

describe('the exchange', () => {
  it('ends with the principal and a signature of the server', async () => {
    await add('ann', 'pencil', ['operator'])
    const { step, serverFinal } = await login(await opened(), 'ann', 'pencil')
    expect(step).toEqual({
      kind: 'success',
      data: Buffer.from(serverFinal),
      principal: {
        username: 'ann',
        roles: ['operator'],
        claims: {},
        expiresAt: undefined,
        grantedBy: 'scram',
      },
    })
  })

  it('refuses a wrong password and a user that does not exist alike', async () => {
    await add('ann', 'pencil')
    const mechanism = await opened()
    for (const name of ['ann', 'nobody'])
      expect((await login(mechanism, name, 'pen')).step).toEqual({
        kind: 'refused',
        reason: 'bad_credentials',
      })
  })

  it('shows a user that does not exist the same salt every time, and as many iterations', async () => {
    await add('ann', 'pencil')
    const challenge = async (name: string) =>
      (await continued((await opened()).begin(peer()), `n,,n=${name},r=x`)).replace(/^r=[^,]*,/, '')
    const known = await challenge('ann')
    const unknown = await challenge('nobody')
    expect(unknown).toBe(await challenge('nobody'))
    expect(unknown).not.toBe(await challenge('somebody'))
    const shape = (text: string) => text.replace(/s=[\w+/]{22}==/, 's=...')
    expect(shape(unknown)).toBe(shape(known))
    // Also after another user has come: the salts of users who do not exist are the same on every day.
    await add('bob', 'pencil')
    expect(await challenge('nobody')).toBe(unknown)
  })

  it('cannot be repeated: the nonce is fresh', async () => {
    await add('ann', 'pencil')
    const mechanism = await opened()
    const bare = 'n=ann,r=clientnonce'
    const first = mechanism.begin(peer())
    const { message } = await clientFinal('pencil', bare, await continued(first, `n,,${bare}`))
    expect(await first.step(Buffer.from(message))).toMatchObject({ kind: 'success' })
    const second = mechanism.begin(peer())
    await continued(second, `n,,${bare}`)
    expect(await second.step(Buffer.from(message))).toEqual({ kind: 'refused', reason: 'bad_credentials' })
  })

  it('holds the client to the header that it began with', async () => {
    await add('ann', 'pencil')
    const mechanism = await opened()
    const bare = 'n=ann,r=clientnonce'
    for (const [began, ended, kind] of [
      ['n,,', 'n,,', 'success'],
      ['y,,', 'y,,', 'success'],
      ['n,a=ann,', 'n,a=ann,', 'success'],
      ['y,,', 'n,,', 'refused'],
      ['n,a=ann,', 'n,,', 'refused'],
    ] as const) {
      const exchange = mechanism.begin(peer())
      const { message } = await clientFinal('pencil', bare, await continued(exchange, began + bare), ended)
      expect([began, ended, (await exchange.step(Buffer.from(message))).kind]).toEqual([began, ended, kind])
    }
  })

  it('lets the client speak first when CONNECT brings no data', async () => {
    await add('ann', 'pencil')
    const exchange = (await opened()).begin(peer())
    expect(await continued(exchange, undefined)).toBe('')
    const bare = 'n=ann,r=x'
    const { message } = await clientFinal('pencil', bare, await continued(exchange, `n,,${bare}`))
    expect((await exchange.step(Buffer.from(message))).kind).toBe('success')
    const silent = (await opened()).begin(peer())
    await continued(silent, undefined)
    expect((await silent.step(undefined)).kind).toBe('refused')
  })

  it('compares the name with the one of CONNECT and of the connection', async () => {
    await add('ann', 'pencil')
    const mechanism = await opened()
    const current = { username: 'bob', roles: [], claims: {}, expiresAt: undefined, grantedBy: 'scram' }
    const mismatch = { kind: 'refused', reason: 'username_mismatch' }
    expect((await login(mechanism, 'ann', 'pencil', { username: 'ann' })).step.kind).toBe('success')
    expect((await login(mechanism, 'ann', 'pencil', { username: '' })).step.kind).toBe('success')
    expect((await login(mechanism, 'ann', 'pencil', { username: 'bob' })).step).toEqual(mismatch)
    expect((await login(mechanism, 'ann', 'pencil', { current })).step).toEqual(mismatch)
    expect(
      (await login(mechanism, 'ann', 'pencil', { current: { ...current, username: 'ann' } })).step.kind,
    ).toBe('success')
    // Nothing is said about names to somebody who does not know the password.
    expect((await login(mechanism, 'ann', 'pen', { username: 'bob' })).step).toMatchObject({
      reason: 'bad_credentials',
    })
  })

  it('takes names with `,` and `=`, and prepares names and passwords', async () => {
    await add('a,b=c', 'I\u00adX')
    const mechanism = await opened()
    expect((await login(mechanism, 'a=2Cb=3Dc', 'IX')).step).toMatchObject({
      principal: { username: 'a,b=c' },
    })
    await add('\u2168', 'pencil')
    expect((await login(await opened(), 'IX', 'pencil')).step.kind).toBe('success')
    expect((await login(await opened(), '\u2168', 'pencil')).step.kind).toBe('success')
  })

  it('refuses whatever is no message, and never fails', async () => {
    await add('ann', 'pencil')
    const mechanism = await opened()
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 100 }).map((data) => Buffer.from(data)),
      fc
        .array(
          fc.constantFrom('n', 'y', 'p', '=', ',', 'a', 'r', 'c', 'm', '2C', 'biws', '\0', '\u00e9', '+'),
        )
        .map((parts) => Buffer.from(parts.join(''))),
    )
    await fc.assert(
      fc.asyncProperty(bytes, bytes, async (first, second) => {
        const exchange = mechanism.begin(peer())
        const step = await exchange.step(first)
        expect(['continue', 'refused']).toContain(step.kind)
        if (step.kind === 'continue') expect((await exchange.step(second)).kind).toBe('refused')
        const late = mechanism.begin(peer())
        await continued(late, 'n,,n=ann,r=x')
        expect((await late.step(second)).kind).toBe('refused')
      }),
      { numRuns: 500 },
    )
  })
})

describe('messages', () => {
  it.each([
    'n,,n=ann',
    'n,,r=x,n=ann',
    'p=tls-unique,,n=ann,r=x',
    'n,a=bob,n=ann,r=x',
    'n,,m=ext,n=ann,r=x',
    'n,,n=ann,r=x,m=ext',
    'n,,n=a=2cb,r=x',
    'n,,n=a=b,r=x',
    'n,,n=,r=x',
    'n,,n=ann,r=',
    'n,,n=ann,r=a b',
    `n,,n=ann,r=${'x'.repeat(257)}`,
    `n,,n=ann,r=x,z=${'x'.repeat(4_096)}`,
    'N,,n=ann,r=x',
    '',
  ])('%j begins nothing', (text) => {
    expect(parseClientFirst(Buffer.from(text))).toBeUndefined()
  })

  it('may carry extensions that may be left aside', () => {
    expect(parseClientFirst(Buffer.from('n,,n=ann,r=x,z=1'))).toMatchObject({
      username: 'ann',
      bare: 'n=ann,r=x,z=1',
    })
    expect(parseClientFinal(Buffer.from('c=biws,r=x,z=1,p=AAAA'))).toMatchObject({
      withoutProof: 'c=biws,r=x,z=1',
    })
  })

  it.each([
    'c=biws,r=x',
    'c=biws,p=AAAA',
    'c=b!,r=x,p=AAAA',
    'c=biws,r=x,p=AAA',
    'c=biws,r=x,p=AAAA,z=1',
    '',
  ])('%j ends nothing', (text) => {
    expect(parseClientFinal(Buffer.from(text))).toBeUndefined()
  })

  it('are UTF-8', () => {
    expect(
      parseClientFirst(Buffer.from([...Buffer.from('n,,n=a'), 0xff, ...Buffer.from(',r=x')])),
    ).toBeUndefined()
  })
})

describe('the users file', () => {
  const secret = Buffer.alloc(32, 1).toString('base64')
  const head = `{"scramUsers":1,"iterations":4096,"secret":"${secret}"}`
  const user = (fields: object) =>
    JSON.stringify({
      username: 'ann',
      salt: Buffer.alloc(16).toString('base64'),
      storedKey: Buffer.alloc(32).toString('base64'),
      serverKey: Buffer.alloc(32).toString('base64'),
      ...fields,
    })

  it('has one user a line, and remarks', () => {
    const users = ScramUsers.parse(
      `# our users\n\n${head}\n${user({})}\r\n  # and\n${user({ username: 'bob' })}\n`,
    )
    expect(users.count).toBe(2)
    expect(users.account('ann').exists).toBe(true)
    expect(users.account('__proto__')).toMatchObject({ exists: false, roles: [] })
  })

  it.each([
    ['', /the line about the file is missing/],
    ['topsecret', /line 1: not a JSON object/],
    ['7', /line 1: not a JSON object/],
    [user({}), /line 1: not a users file of version 1/],
    [head.replace('4096', '4095'), /line 1: "iterations"/],
    [head.replace('4096', '1e9'), /line 1: "iterations"/],
    [head.replace(secret, 'AAAA'), /line 1: "secret" is not 32 bytes/],
    [`${head}\n${user({})}\n\n${user({})}`, /line 4: a user for the second time/],
    [`${head}\n${user({ username: 7 })}`, /line 2: "username"/],
    [`${head}\n${user({ username: '\u2168' })}`, /line 2: "username"/],
    [`${head}\n${user({ roles: 'admin' })}`, /line 2: "roles"/],
    [`${head}\n${user({ salt: 'topsecret' })}`, /line 2: "salt" is not 16 bytes/],
    [`${head}\n${user({ serverKey: undefined })}`, /line 2: "serverKey"/],
  ])('%j does not start the gateway', async (text, message) => {
    await writeFile(usersFile, text)
    const error: unknown = await opened().catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'KEYS_UNREADABLE' })
    expect((error as Error).message).toMatch(message)
    expect((error as Error).message).not.toMatch(/topsecret/)
  })

  it('that is missing does not start the gateway', async () => {
    await expect(opened()).rejects.toMatchObject({ code: 'KEYS_UNREADABLE' })
  })
})

describe('adding a user', () => {
  it('makes a file that only its owner may read and that holds no password', async () => {
    expect(await add('ann', 'pencil', ['a'])).toBe('added')
    expect((await stat(usersFile)).mode & 0o777).toBe(0o600)
    expect(await readFile(usersFile, 'utf8')).not.toMatch(/pencil/)
  })

  it('replaces the user of that name and leaves everything else', async () => {
    await add('ann', 'pencil')
    await add('bob', 'pencil')
    await writeFile(usersFile, `# kept\n${await readFile(usersFile, 'utf8')}`)
    expect(await add('ann', 'pen')).toBe('replaced')
    const mechanism = await opened()
    expect((await login(mechanism, 'ann', 'pencil')).step.kind).toBe('refused')
    expect((await login(mechanism, 'ann', 'pen')).step.kind).toBe('success')
    expect((await login(mechanism, 'bob', 'pencil')).step.kind).toBe('success')
    const lines = (await readFile(usersFile, 'utf8')).split('\n')
    expect(lines.map((line) => line.slice(0, 18))).toEqual([
      '# kept',
      '{"scramUsers":1,"i',
      '{"username":"ann",',
      '{"username":"bob",',
      '',
    ])
  })

  it('keeps one number of iterations for all users of a file', async () => {
    await add('ann', 'pencil')
    const options = { randomBytes, iterations: 5_000 }
    await expect(
      addScramUser(usersFile, { username: 'bob', password: 'x', roles: [] }, options),
    ).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    await addScramUser(usersFile, { username: 'bob', password: 'x', roles: [] }, { randomBytes })
    expect((await login(await opened(), 'bob', 'x')).step.kind).toBe('success')
  })

  it('leaves a file alone that it does not understand', async () => {
    await writeFile(usersFile, 'ann:pencil')
    await expect(add('bob', 'x')).rejects.toMatchObject({ code: 'KEYS_UNREADABLE' })
    expect(await readFile(usersFile, 'utf8')).toBe('ann:pencil')
  })

  it.each([
    ['', 'x'],
    ['ann', ''],
    ['a\nb', 'x'],
    ['ann', 'x\u0007'],
  ])('refuses user %j with password %j', async (username, password) => {
    await expect(add(username, password)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })
})

describe('hmac', () => {
  it('is the one of RFC 4231, test case 2', () => {
    expect(hmac(Buffer.from('Jefe'), 'what do ya want for nothing?').toString('hex')).toBe(
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    )
  })
})
