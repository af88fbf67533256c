import { spawn } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { GatewayProcess } from './harness/process.js'
import { describeWith } from './harness/programs.js'

const VERSIONS = ['mqttv31', 'mqttv311', 'mqttv5']

/** Seconds after which a client of a failing test gives up. */
const PATIENCE_S = '10'

describeWith('Mosquitto’s clients over TCP', ['mosquitto_pub', 'mosquitto_sub'], (programs) => {
  let gateway: GatewayProcess
  beforeAll(async () => {
    gateway = await GatewayProcess.start()
  })
  afterAll(() => gateway.dispose())

  describe.each(VERSIONS)('%s', (version) => {
    const common = () => ['-p', String(gateway.ports.mqtt), '-V', version]

    function publish(...args: string[]): Promise<Client> {
      const client = new Client(programs.mosquitto_pub, [...common(), ...args])
      return client.succeeded()
    }

    /** Lines are `topic qos retain payload`; resolves when the subscription is granted. */
    async function subscribe(...args: string[]): Promise<Client> {
      const client = subscriber(...args)
      await client.says('Subscribed (mid')
      return client
    }

    function subscriber(...args: string[]): Client {
      const format = ['-d', '-F', 'got %t %q %r %p', '-W', PATIENCE_S]
      return new Client(programs.mosquitto_sub, [...common(), ...format, ...args])
    }

    it.each(['0', '1', '2'])('exchange messages with QoS %s', async (qos) => {
      const topic = `mosquitto/${version}/${qos}`
      const sub = await subscribe('-t', `mosquitto/${version}/+`, '-q', qos, '-C', '1')
      await publish('-t', topic, '-q', qos, '-m', 'hello')
      expect((await sub.succeeded()).messages).toEqual([`${topic} ${qos} 0 hello`])
    })

    it('get, and clear, a retained message', async () => {
      const topic = `retained/${version}`
      await publish('-t', topic, '-q', '1', '-r', '-m', 'kept')
      const first = subscriber('-t', topic, '-q', '1', '-C', '1')
      expect((await first.succeeded()).messages).toEqual([`${topic} 1 1 kept`])
      await publish('-t', topic, '-r', '-n')
      const second = await subscribe('-t', topic, '-q', '1', '-C', '1')
      await publish('-t', topic, '-q', '1', '-m', 'live')
      expect((await second.succeeded()).messages).toEqual([`${topic} 1 0 live`])
    })

    it('leave a will when they are killed, none when they say goodbye', async () => {
      const topic = `will/${version}`
      const watcher = await subscribe('-t', topic, '-q', '1', '-C', '2')
      const will = ['--will-topic', topic, '--will-payload', 'gone', '--will-qos', '1']
      await publish('-t', 'other', '-m', 'x', ...will)
      const killed = await subscribe('-t', 'other', ...will)
      await killed.kill()
      await watcher.says('gone')
      await publish('-t', topic, '-q', '1', '-m', 'end')
      expect((await watcher.succeeded()).messages).toEqual([`${topic} 1 0 gone`, `${topic} 1 0 end`])
    })

    it('find in their session what was published while they were away', async () => {
      const session = ['-c', '-i', `away-${version}`, '-q', '2', '-t', `away/${version}/#`]
      if (version === 'mqttv5') session.push('-x', '3600')
      await subscriber(...session, '-E').succeeded()
      for (const qos of ['1', '2', '0'])
        await publish('-t', `away/${version}/${qos}`, '-q', qos, '-m', `m${qos}`)
      const back = await subscriber(...session, '-C', '2').succeeded()
      expect(back.messages).toEqual([`away/${version}/1 1 0 m1`, `away/${version}/2 2 0 m2`])
    })
  })
})

/** One run of a command-line client. */
class Client {
  private output = ''
  private readonly child
  private readonly ended: Promise<number | null>
  private readonly listeners = new Set<() => void>()

  constructor(program: string, args: readonly string[]) {
    // Line by line: C programs hold back what goes to a pipe.
    this.child = spawn('stdbuf', ['-oL', program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    const read = (bytes: Buffer) => {
      this.output += bytes.toString()
      for (const listener of this.listeners) listener()
    }
    this.child.stdout.on('data', read)
    this.child.stderr.on('data', read)
    this.ended = new Promise((resolve, reject) => {
      this.child.once('error', reject)
      this.child.once('close', resolve)
    })
  }

  get messages(): readonly string[] {
    return this.output.split('\n').flatMap((line) => (line.startsWith('got ') ? [line.slice(4)] : []))
  }

  async says(text: string): Promise<void> {
    const said = new Promise<void>((resolve) => {
      const look = () => {
        if (this.output.includes(text)) resolve()
      }
      this.listeners.add(look)
      look()
    })
    const over = this.ended.then(() => {
      if (!this.output.includes(text)) throw new Error(`ended without saying ${text}:\n${this.output}`)
    })
    await Promise.race([said, over])
  }

  async succeeded(): Promise<this> {
    const code = await this.ended
    if (code !== 0) throw new Error(`ended with ${String(code)}:\n${this.output}`)
    return this
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.ended
  }
}
