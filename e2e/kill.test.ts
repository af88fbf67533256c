import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, vi } from 'vitest'
import { GatewayProcess } from './harness/process.js'
import { Load } from './kill/load.js'
import { seededRandom } from './kill/random.js'

/** `npm run chaos` asks for more, and for other seeds. */
const KILLS = Number(process.env['OPENCLAW_KILLS'] ?? 20)
const SEED = Number(process.env['OPENCLAW_SEED'] ?? Date.now() % 1_000_000)

const SECONDS_A_KILL = 10

/** Publishes a second, as far as the gateway keeps up. */
const RATE = 4_000

/**
 * Kills at a moment that finds something: while clients resume their sessions, while a session changes hands, in the
 * middle of the load, or in the instant in which an acknowledgement arrives. The last one shows best that what was
 * acknowledged is stored: what was acknowledged first and stored behind would be caught in between.
 */
async function kill(gateway: GatewayProcess, load: Load, random: () => number): Promise<string> {
  const moment = random()
  if (moment < 0.2) {
    await sleep(random() * 250)
    await gateway.kill()
    return 'resume'
  }
  await sleep(300 + random() * 1_200)
  if (moment < 0.6) {
    const killed = new Promise<void>((resolve, reject) => {
      load.onNextAcknowledgement = () => {
        gateway.kill().then(resolve, reject)
      }
    })
    await killed
    return 'acknowledgement'
  }
  if (moment < 0.8) {
    for (let i = 0; i < 6; i++) load.anyConnected()?.takeOver()
    await sleep(random() * 30)
    await gateway.kill()
    return 'takeover'
  }
  await gateway.kill()
  return 'load'
}

it(
  `loses and doubles nothing over ${KILLS} kills (seed ${SEED})`,
  async () => {
    const random = seededRandom(SEED)
    const gateway = await GatewayProcess.start({
      config: (ports, folder) => ({
        node: { dataDir: `${folder}/data` },
        listeners: [{ name: 'mqtt', type: 'tcp', port: ports.mqtt }],
        admin: { port: ports.admin },
        store: { type: 'level' },
        // A queue that overflows loses messages as it was told to.
        limits: { receiveMaximum: 300, queuedMessages: 100_000_000, queuedBytes: 100_000_000_000 },
        log: { level: 'warn' },
      }),
    })
    const load = new Load({ port: () => gateway.ports.mqtt, random, rate: RATE })
    let upMs = 0
    const moments = new Map<string, number>()
    try {
      await load.open()
      load.startPublishing()
      const restless = setInterval(() => load.visit(), 150)
      const takeovers = setInterval(() => load.anyConnected()?.takeOver(), 400)
      let since = performance.now()
      for (let kills = 1; kills <= KILLS; kills++) {
        const moment = await kill(gateway, load, random)
        moments.set(moment, (moments.get(moment) ?? 0) + 1)
        upMs += performance.now() - since
        expect(load.verdict(), `after kill ${kills} (${moment}), seed ${SEED}`).toEqual([])
        await gateway.start()
        since = performance.now()
      }
      await sleep(1_000)
      load.stopPublishing()
      clearInterval(restless)
      clearInterval(takeovers)
      upMs += performance.now() - since
      const { acknowledged } = load
      await load.gather()
      await vi.waitFor(() => expect([load.inflight, load.missing()]).toEqual([0, 0]), {
        timeout: 60_000,
        interval: 100,
      })
      for (const { client } of load.subscribers) await client.roundTrip()
      expect(load.verdict(), `seed ${SEED}`).toEqual([])
      expect(load.acknowledged).toBe(load.sent)
      expect(gateway.output).not.toContain('"level":"error"')
      const seconds = upMs / 1000
      process.stdout.write(
        `${KILLS} kills (${[...moments].map(([moment, count]) => `${count} in ${moment}`).join(', ')}), ` +
          `seed ${SEED}: ${Math.round(acknowledged / seconds)} messages/s acknowledged while up, ` +
          `${load.acknowledged} in all, ${load.received} received, 0 lost\n`,
      )
    } finally {
      load.close()
      await gateway.dispose()
    }
  },
  60_000 + KILLS * SECONDS_A_KILL * 1000,
)
