import { spawnSync } from 'node:child_process'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { expect, it } from 'vitest'
import { errorTable } from '../broker/contract/errors.js'
import { GatewayProcess } from './harness/process.js'
import { RawClient } from './harness/raw-client.js'

/** A mount namespace of its own, in which a process may mount what it likes; not every kernel allows it. */
const NAMESPACE = ['unshare', '--user', '--map-root-user', '--mount']
const allowed = spawnSync(NAMESPACE[0] ?? '', [...NAMESPACE.slice(1), 'true']).status === 0

/** The gateway's data directory is a disk of 4 MiB, of which something else takes 3. */
const SMALL_DISK =
  'mkdir data && mount -t tmpfs -o size=4m tmpfs data && head -c 3M /dev/zero > data/ballast && exec "$@"'

const PAYLOAD_BYTES = 8_192

/** Publishes until one is refused; returns the numbers of those that were acknowledged. */
async function fill(publisher: RawClient, first: number): Promise<readonly number[]> {
  const acknowledged: number[] = []
  for (let number = first; number < first + 1_000; number++) {
    const payload = String(number).padEnd(PAYLOAD_BYTES, '.')
    const { reasonCode = 0, properties } = await publisher.publishAcknowledged('disk/full', payload, {
      qos: 1,
    })
    if (reasonCode >= 0x80) {
      // Where the store is concerns nobody outside.
      expect(properties?.reasonString).toBe(errorTable.STORE_UNWRITABLE)
      return acknowledged
    }
    acknowledged.push(number)
  }
  throw new Error('the disk did not fill up')
}

it.skipIf(!allowed)(
  'lives on while nothing can be written, acknowledges nothing, and recovers',
  async () => {
    const gateway = await GatewayProcess.prepare({
      shell: `exec ${NAMESPACE.join(' ')} bash -c '${SMALL_DISK}' openclaw "$@"`,
    })
    try {
      await gateway.start()
      const { mqtt: port } = gateway.ports
      const subscriber = { clientId: 'away', clean: false, properties: { sessionExpiryInterval: 3_600 } }
      const away = await RawClient.connect(port, subscriber)
      await away.subscribe('disk/#', 1)
      await away.abort()

      const live = await RawClient.connect(port, { clientId: 'live' })
      await live.subscribe('live/#', 0)
      const publisher = await RawClient.connect(port, { clientId: 'publisher' })
      const before = await fill(publisher, 0)
      expect(before.length).toBeGreaterThan(10)
      expect(publisher.open).toBe(true)

      const { status, text } = await gateway.admin('/readyz')
      expect(status).toBe(503)
      const { services } = JSON.parse(text) as {
        services: { name: string; ready: boolean; reason?: string }[]
      }
      const store = services.find(({ name }) => name === 'store')
      expect(store?.ready).toBe(false)
      expect(store?.reason).toMatch(/disk|write|room|large/i)
      expect((await gateway.admin('/healthz')).status).toBe(200)

      // MQTT 3.1.1 knows no refusal of a publish: the connection is closed, and the client will send it again.
      const old = await RawClient.connect(port, { clientId: 'old', protocolVersion: 4 })
      old.publish('disk/full', 'x'.repeat(PAYLOAD_BYTES), { qos: 1 })
      await old.closedByPeer()
      await expect(old.next('puback')).rejects.toThrow()

      // What needs no disk goes on for those who are there.
      publisher.publish('live/x', 'still here')
      expect((await live.nextPublish()).payload.toString()).toBe('still here')

      const data = path.join('/proc', String(gateway.pid), 'root', gateway.folder, 'data')
      await rm(path.join(data, 'ballast'))
      await expect.poll(async () => (await gateway.admin('/readyz')).status, { timeout: 15_000 }).toBe(200)
      const { reasonCode = 0 } = await publisher.publishAcknowledged('disk/full', 'last', { qos: 1 })
      expect(reasonCode).toBeLessThan(0x80)

      // All that was acknowledged is there, in order.
      const back = await RawClient.connect(port, subscriber)
      const received: string[] = []
      while (received.at(-1) !== 'last') {
        const { payload, messageId } = await back.nextPublish()
        received.push(payload.toString().replace(/\.+$/, ''))
        back.send({ cmd: 'puback', messageId: messageId ?? 0 })
      }
      expect(received.filter((text) => before.includes(Number(text)))).toEqual(before.map(String))
      expect(gateway.output).toContain('STORE_UNWRITABLE')
      expect(gateway.output).not.toContain('"event":"defect"')
    } finally {
      await gateway.dispose()
    }
  },
  60_000,
)
