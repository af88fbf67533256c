import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { addScramUser } from '../../broker/access/scram/add-user.js'
import { unique, useGateway } from '../harness/gateway.js'
import { cutPackets, packetOf } from '../harness/packet-bytes.js'
import type { IAuthPacket, IConnackPacket, RawClient } from '../harness/raw-client.js'

const directory = mkdtempSync(path.join(tmpdir(), 'openclaw-scram-'))
const usersFile = path.join(directory, 'users')
beforeAll(async () => {
  const options = { iterations: 4096, randomBytes }
  await addScramUser(usersFile, { username: 'ann', password: 'pencil', roles: ['all'] }, options)
  await addScramUser(usersFile, { username: 'bob', password: 'stylus', roles: [] }, options)
})
afterAll(() => rmSync(directory, { recursive: true }))

const METHOD = 'SCRAM-SHA-256'
const gateway = useGateway({
  auth: { anonymous: 'never', authenticators: [{ type: 'scram', name: 'scram', usersFile }] },
})

/** The client's side of RFC 5802. */
class ScramClient {
  private readonly bare: string
  private signature = ''

  constructor(
    username: string,
    private readonly password: string,
  ) {
    this.bare = `n=${username},r=${randomBytes(12).toString('hex')}`
  }

  first(): Buffer {
    return Buffer.from(`n,,${this.bare}`)
  }

  final(serverFirst: Buffer): Buffer {
    const text = serverFirst.toString()
    const { r, s, i } = Object.fromEntries(text.split(',').map((part) => [part[0], part.slice(2)])) as Record<
      'r' | 's' | 'i',
      string
    >
    const salted = pbkdf2Sync(this.password, Buffer.from(s, 'base64'), Number(i), 32, 'sha256')
    const clientKey = hmac(salted, 'Client Key')
    const withoutProof = `c=biws,r=${r}`
    const message = `${this.bare},${text},${withoutProof}`
    const mask = hmac(createHash('sha256').update(clientKey).digest(), message)
    const proof = Buffer.from(clientKey.map((byte, at) => byte ^ (mask[at] ?? 0)))
    this.signature = hmac(hmac(salted, 'Server Key'), message).toString('base64')
    return Buffer.from(`${withoutProof},p=${proof.toString('base64')}`)
  }

  proves(serverFinal: Buffer | undefined): boolean {
    return serverFinal?.toString() === `v=${this.signature}`
  }
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function auth(reasonCode: number, authenticationData: Buffer, authenticationMethod = METHOD): IAuthPacket {
  return { cmd: 'auth', reasonCode, properties: { authenticationMethod, authenticationData } }
}

async function begin(scram: ScramClient): Promise<{ client: RawClient; challenge: IAuthPacket }> {
  const client = await gateway.open()
  client.sendConnect({
    clientId: unique('c'),
    properties: { authenticationMethod: METHOD, authenticationData: scram.first() },
  })
  return { client, challenge: await client.next('auth') }
}

async function authenticated(): Promise<{ client: RawClient; scram: ScramClient; connack: IConnackPacket }> {
  const scram = new ScramClient('ann', 'pencil')
  const { client, challenge } = await begin(scram)
  client.send(auth(0x18, scram.final(challenge.properties!.authenticationData!)))
  return { client, scram, connack: await client.next('connack') }
}

describe('an exchange with CONNECT', () => {
  test('[MQTT-4.12.0-2] [MQTT-4.12.0-3] [MQTT-3.15.2-1] [MQTT-3.2.0-1] goes CONNECT, AUTH 0x18, AUTH 0x18, CONNACK', async () => {
    const scram = new ScramClient('ann', 'pencil')
    const { client, challenge } = await begin(scram)
    expect(challenge.reasonCode).toBe(0x18)
    client.send(auth(0x18, scram.final(challenge.properties!.authenticationData!)))
    const connack = await client.next('connack')
    expect(connack.reasonCode).toBe(0)
    expect(scram.proves(connack.properties?.authenticationData)).toBe(true)
    expect(await client.settled()).toEqual([])
  })

  test('[MQTT-4.12.0-5] every AUTH and the CONNACK name the method', async () => {
    const scram = new ScramClient('ann', 'pencil')
    const { client, challenge } = await begin(scram)
    expect(challenge.properties?.authenticationMethod).toBe(METHOD)
    client.send(auth(0x18, scram.final(challenge.properties!.authenticationData!)))
    expect((await client.next('connack')).properties?.authenticationMethod).toBe(METHOD)
  })

  test('[MQTT-3.15.2-2] [MQTT-3.15.2-3] AUTH carries method and data, and neither Reason String nor User Property', async () => {
    const { client, challenge } = await begin(new ScramClient('ann', 'pencil'))
    expect(Object.keys(challenge.properties ?? {}).sort()).toEqual([
      'authenticationData',
      'authenticationMethod',
    ])
    await client.abort()
  })

  test('[MQTT-4.12.0-1] [MQTT-3.2.2-7] with an unknown method ends in 0x8C', async () => {
    const client = await gateway.connect({ properties: { authenticationMethod: 'GS2-KRB5' } })
    expect(client.connack.reasonCode).toBe(0x8c)
    await client.closedByPeer()
  })

  test.each(['ann', 'nobody'])(
    '[MQTT-4.12.0-4] [MQTT-3.1.4-2] with a wrong password or an unknown name (%s) ends in 0x86',
    async (username) => {
      const scram = new ScramClient(username, 'wrong')
      const { client, challenge } = await begin(scram)
      client.send(auth(0x18, scram.final(challenge.properties!.authenticationData!)))
      expect((await client.next('connack')).reasonCode).toBe(0x86)
      await client.closedByPeer()
    },
  )

  test('[MQTT-4.12.0-5] with another method in AUTH is a protocol error', async () => {
    const scram = new ScramClient('ann', 'pencil')
    const { client, challenge } = await begin(scram)
    client.send(auth(0x18, scram.final(challenge.properties!.authenticationData!), 'PLAIN'))
    expect((await client.next('connack')).reasonCode).toBe(0x82)
    await client.closedByPeer()
  })

  test('[MQTT-3.1.2-30] [MQTT-3.14.0-1] any other packet within it ends the connection, without DISCONNECT', async () => {
    const { client } = await begin(new ScramClient('ann', 'pencil'))
    client.publish('t', 'too early')
    expect((await client.remainder()).map(({ cmd }) => cmd)).toEqual(['connack'])
  })

  test('[MQTT-3.1.2-30] DISCONNECT may end it', async () => {
    const { client } = await begin(new ScramClient('ann', 'pencil'))
    await client.disconnect()
    expect(await client.remainder()).toEqual([])
  })

  test('[MQTT-3.14.0-1] that is left hanging ends with the time for CONNECT', async () => {
    const { client } = await begin(new ScramClient('ann', 'pencil'))
    gateway.clock.skip(11)
    expect(await client.remainder()).toEqual([])
  })
})

describe('without an Authentication Method', () => {
  test('[MQTT-4.12.0-6] the gateway sends no AUTH, and no method in CONNACK', async () => {
    const client = await gateway.connect()
    expect(client.connack.reasonCode).toBe(0x87)
    expect(client.connack.properties ?? {}).not.toHaveProperty('authenticationMethod')
    expect(await client.remainder()).toEqual([])
  })
})

describe('re-authentication', () => {
  test('[MQTT-4.12.1-1] [MQTT-4.12.0-5] goes AUTH 0x19, AUTH 0x18, AUTH 0x18, AUTH 0x00, while messages go on', async () => {
    const { client } = await authenticated()
    const topic = unique('t')
    await client.subscribe(topic)
    const scram = new ScramClient('ann', 'pencil')
    client.send(auth(0x19, scram.first()))
    const challenge = await client.next('auth')
    expect(challenge).toMatchObject({ reasonCode: 0x18, properties: { authenticationMethod: METHOD } })
    client.publish(topic, 'meanwhile')
    expect((await client.nextPublish()).payload.toString()).toBe('meanwhile')
    client.send(auth(0x18, scram.final(challenge.properties!.authenticationData!)))
    const done = await client.next('auth')
    expect(done).toMatchObject({ reasonCode: 0, properties: { authenticationMethod: METHOD } })
    expect(scram.proves(done.properties?.authenticationData)).toBe(true)
  })

  test('[MQTT-4.12.1-2] [MQTT-3.14.2-1] that fails ends the connection, and so does becoming somebody else', async () => {
    for (const scram of [new ScramClient('ann', 'wrong'), new ScramClient('bob', 'stylus')]) {
      const { client } = await authenticated()
      client.send(auth(0x19, scram.first()))
      const { properties } = await client.next('auth')
      client.send(auth(0x18, scram.final(properties!.authenticationData!)))
      expect(await client.disconnectedByPeer()).toBe(0x87)
    }
  })

  test('[MQTT-4.12.1-1] [MQTT-4.12.0-7] with another method is a protocol error', async () => {
    const { client } = await authenticated()
    client.send(auth(0x19, Buffer.from('n,,n=ann,r=x'), 'SCRAM-SHA-1'))
    expect(await client.disconnectedByPeer()).toBe(0x82)
  })

  test('[MQTT-3.15.1-1] AUTH with reserved flags is malformed', async () => {
    const { client } = await authenticated()
    client.write(packetOf(0xf1, [0x19, 0]))
    expect(await client.disconnectedByPeer()).toBe(0x81)
    expect(cutPackets(Buffer.concat(client.bytes)).length).toBe(3)
  })
})
