import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { Disturbances, WatchedRedis } from '../chaos/disturbances.js'
import { keysLeft } from '../chaos/keys-left.js'
import { LastWills } from '../chaos/last-wills.js'
import { ShareGroup } from '../chaos/share-group.js'
import { WatchedNode } from '../chaos/watched-node.js'
import { ClusterProcesses } from '../harness/cluster-processes.js'
import { LEASE_SECONDS } from '../harness/cluster.js'
import { describeWith } from '../harness/programs.js'
import { Load } from '../kill/load.js'
import { seededRandom } from '../kill/random.js'

/** `npm run chaos:cluster` asks for more, and for other seeds. */
const SECONDS = Number(process.env['OPENCLAW_CHAOS_SECONDS'] ?? 60)
const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000)

/** Publishes a second, as far as the nodes keep up. */
const RATE = 600

/** Most time between two disturbances, milliseconds. */
const CALM_MS = 1_500

/** A node takes about 130 MiB with this load; what is kept for ever shows as more. */
const MOST_MEMORY = 512 * 2 ** 20

/** What no disturbance excuses. */
const DEFECT = /^.*"event":"(?:defect|subscriber_failed|engine_failed|store_entry_damaged)".*$/gm

describeWith('three nodes on one Redis', ['redis-server'], () => {
  const cluster = new ClusterProcesses({
    // With `everysec` a SIGKILL could take what Redis has answered: it puts writes off while a sync is under way.
    redis: ['--appendonly', 'yes', '--appendfsync', 'always'],
    config: {
      // A queue that overflows loses messages as it was told to.
      limits: { receiveMaximum: 300, queuedMessages: 100_000_000, queuedBytes: 100_000_000_000 },
      shutdown: { graceSeconds: 2, drainSeconds: 3 },
      log: { level: 'info' },
    },
  })
  beforeAll(() => cluster.prepare())
  afterAll(() => cluster.stop())

  test(
    `lose and double nothing in ${SECONDS} s of chaos (seed ${SEED})`,
    async () => {
      process.stdout.write(`chaos: seed ${SEED}\n`)
      const random = seededRandom(SEED)
      const faults: string[] = []
      const redis = new WatchedRedis(cluster.redis)
      const nodes = cluster.nodes.map(
        (gateway, i) => new WatchedNode(`node ${i}`, gateway, redis, (fault) => faults.push(fault)),
      )
      await Promise.all(nodes.map((node) => node.start()))
      expect(faults).toEqual([])
      const keysBefore = await keysLeft(cluster.redis)

      const port = () =>
        (cluster.nodes[Math.floor(random() * cluster.nodes.length)] as (typeof cluster.nodes)[0]).ports.mqtt
      const load = new Load({ port, random, rate: RATE, patient: true })
      const group = new ShareGroup({ port, random, streams: load.streams })
      const wills = new LastWills({ port, random })
      const { keyPrefix } = cluster
      const moment = () => load.nextAcknowledgement()
      const disturbances = new Disturbances({
        nodes,
        redis,
        keyPrefix,
        moment,
        leaseMs: LEASE_SECONDS * 1000,
        random,
      })
      let memory = 0
      const timers: NodeJS.Timeout[] = []
      const verdict = () => [...faults, ...load.verdict(), ...group.faults, ...wills.faults]
      const story = () => `seed ${SEED}; ${disturbances.timeline.join('; ')}`
      try {
        await load.open()
        await group.open()
        await wills.open()
        load.startPublishing()
        timers.push(
          setInterval(() => {
            load.visit()
            group.visit()
            wills.visit()
          }, 300),
          setInterval(() => load.anyConnected()?.takeOver(), 500),
          setInterval(() => {
            for (const node of nodes) void node.memory().then((bytes) => (memory = Math.max(memory, bytes)))
          }, 5_000),
        )
        const begin = performance.now()
        while (performance.now() - begin < SECONDS * 1000) {
          await sleep(random() * CALM_MS)
          disturbances.next()
          expect(verdict(), story()).toEqual([])
        }
        await disturbances.over()
        load.stopPublishing()
        const seconds = (performance.now() - begin) / 1000
        for (const timer of timers.splice(0)) clearInterval(timer)
        await load.gather()
        await group.gather()
        wills.leave()
        const missing = () => [load.inflight, load.missing(), group.missing(), ...wills.missing()]
        await vi.waitFor(() => expect(missing(), story()).toEqual([0, 0, 0]), {
          timeout: 90_000,
          interval: 100,
        })
        for (const { client } of load.subscribers) await client.roundTrip()
        for (const member of group.members) await member.roundTrip()
        await wills.settled()
        expect(verdict(), story()).toEqual([])
        expect(load.acknowledged).toBe(load.sent)
        expect(memory).toBeLessThan(MOST_MEMORY)

        await load.end()
        await group.end()
        await wills.end()
        const leaked = async () => {
          const rest = [...keysBefore]
          return (await keysLeft(cluster.redis)).filter((key) => {
            const known = rest.indexOf(key)
            if (known >= 0) rest.splice(known, 1)
            return known < 0
          })
        }
        // A node that ends before it has joined is known to nobody: its stream ends by itself, behind a minute.
        const unborn = nodes.some(({ failedStarts }) => failedStarts > 0)
        await expect.poll(leaked, { timeout: unborn ? 90_000 : 30_000 }).toEqual([])
        expect(nodes.filter(({ gateway }) => !gateway.running)).toEqual([])
        expect(cluster.nodes.flatMap(({ output }) => output.match(DEFECT) ?? [])).toEqual([])
        const counts = [...disturbances.counts].map(([kind, count]) => `${count} ${kind}`).join(', ')
        process.stdout.write(
          `chaos: seed ${SEED}, ${Math.round(seconds)} s: ${counts}; ${load.acknowledged} messages acknowledged ` +
            `(${Math.round(load.acknowledged / seconds)}/s), ${load.received} received, ${wills.count} wills, ` +
            `${load.resumptions} sessions resumed, at most ${Math.round(memory / 2 ** 20)} MiB a node, 0 lost\n`,
        )
      } catch (error) {
        process.stdout.write(`chaos: seed ${SEED}: see ${await cluster.keepOutput()}\n`)
        throw error
      } finally {
        for (const timer of timers) clearInterval(timer)
        load.close()
        group.close()
        wills.close()
      }
    },
    300_000 + SECONDS * 1000,
  )
})
