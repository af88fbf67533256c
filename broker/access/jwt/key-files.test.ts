import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exportJWK, generateKeyPair } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { RecordedEvents } from '../testing.js'
import { KeySetFile } from './key-set-file.js'
import { readKeySet } from './key-set.js'
import { readSecret, SecretFile } from './secret-file.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keys-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function file(content: string | Buffer): Promise<string> {
  const path = join(folder, 'key')
  await writeFile(path, content)
  return path
}

async function messageOf(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => new Error('resolved'),
    (reason: unknown) => reason,
  )
  expect(error).toMatchObject({ code: 'KEYS_UNREADABLE' })
  return (error as Error).message
}

describe('a shared secret', () => {
  it('is the bytes of the file without one line break at the end', async () => {
    const text = 's'.repeat(40)
    for (const [content, length] of [
      [text, 40],
      [`${text}\n`, 40],
      [`${text}\r\n`, 40],
      [`${text}\n\n`, 41],
      [`${text}\r`, 41],
      [Buffer.alloc(33, 0xff), 33],
    ] as const)
      expect((await readSecret(await file(content), ['HS256'])).length).toBe(length)
  })

  it('is at least as long as the hash of each algorithm, as RFC 7518 3.2 demands', async () => {
    const path = await file('s'.repeat(47))
    expect((await readSecret(path, ['HS256'])).length).toBe(47)
    expect(await messageOf(readSecret(path, ['HS256', 'HS384']))).toMatch(/47 bytes, HS384 needs at least 48/)
    expect(await messageOf(readSecret(await file('short'), ['HS256']))).not.toMatch(/short/)
    expect(await messageOf(readSecret(await file(''), ['HS256']))).toMatch(/0 bytes/)
  })

  it('that cannot be read stops the start with the path', async () => {
    const events = new RecordedEvents()
    const missing = new SecretFile('jwt', join(folder, 'missing'), ['HS256'], events)
    expect(await messageOf(missing.open())).toMatch(/missing.*ENOENT/)
    expect(await messageOf(new SecretFile('jwt', folder, ['HS256'], events).open())).toMatch(/EISDIR/)
    expect(events.lines).toEqual([])
    expect(() => missing.keyFor()).toThrow(/not read yet/)
  })
})

describe('a key set in a file', () => {
  it('is read and counted', async () => {
    const { publicKey } = await generateKeyPair('ES256', { extractable: true })
    const events = new RecordedEvents()
    const path = await file(JSON.stringify({ keys: [await exportJWK(publicKey)] }))
    const keys = new KeySetFile('jwt', path, ['ES256'], events)
    expect(() => keys.keyFor({ alg: 'ES256' }, { payload: '', signature: '' })).toThrow(/not read yet/)
    await keys.open()
    expect(events.lines).toEqual(['keys jwt: 1'])
    await keys.close()
  })

  it('may be a single key, and a key pair: only its public half is used', async () => {
    const { privateKey } = await generateKeyPair('ES256', { extractable: true })
    const jwk = { ...(await exportJWK(privateKey)), key_ops: ['sign'] }
    const set = await readKeySet(JSON.stringify(jwk), ['ES256'])
    const key = await set.keyFor({ alg: 'ES256' }, { payload: '', signature: '' })
    expect(key).toMatchObject({ type: 'public' })
  })

  it('keeps the keys that can be used and leaves the others out', async () => {
    const { publicKey } = await generateKeyPair('ES256', { extractable: true })
    const jwk = await exportJWK(publicKey)
    const keys = [
      jwk,
      { ...jwk, use: 'enc' },
      { ...jwk, key_ops: ['encrypt'] },
      { ...jwk, alg: 'ES384' },
      { ...jwk, x: 'AAAA' },
      { kty: 'oct', k: 'c2VjcmV0' },
      { kty: 'unheard-of' },
    ]
    expect((await readKeySet(JSON.stringify({ keys }), ['ES256'])).count).toBe(1)
  })

  it('takes no RSA key below 2048 bits', async () => {
    const { publicKey } = await crypto.subtle.generateKey(
      { name: 'RSA-PSS', modulusLength: 1024, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' },
      true,
      ['sign', 'verify'],
    )
    const { kty, n, e } = await crypto.subtle.exportKey('jwk', publicKey)
    await expect(readKeySet(JSON.stringify({ kty, n, e }), ['PS256'])).rejects.toThrow(/no key/)
  })

  it.each([
    ['', /is not JSON/],
    ['{"kty":"EC","d":"topsecret"', /is not JSON/],
    ['[]', /is not a JSON Web Key Set/],
    ['null', /is not a JSON Web Key Set/],
    ['{"keys":{}}', /is not a JSON Web Key Set/],
    ['{"keys":[null]}', /is not a JSON Web Key Set/],
    ['{"keys":[]}', /no key.*ES256.*0/],
    ['{"kty":"oct","k":"topsecret"}', /no key.*ES256.*1/],
    [JSON.stringify({ keys: Array(101).fill({ kty: 'EC' }) }), /101 keys/],
  ])('%s stops the start and is not quoted', async (content, message) => {
    const keys = new KeySetFile('jwt', await file(content), ['ES256'], new RecordedEvents())
    const said = await messageOf(keys.open())
    expect(said).toMatch(message)
    expect(said).not.toMatch(/topsecret/)
  })
})
