import { spawn } from 'node:child_process'
import path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { GatewayProcess } from './harness/process.js'
import { describeWith } from './harness/programs.js'

describeWith('the Paho Python client', ['python3-paho'], (programs) => {
  let gateway: GatewayProcess
  beforeAll(async () => {
    gateway = await GatewayProcess.start()
  })
  afterAll(() => gateway.dispose())

  it.each([
    ['MQTT 3.1.1 over TCP', 'tcp', 4],
    ['MQTT 5 over TCP', 'tcp', 5],
    ['MQTT 3.1.1 over WebSocket', 'websockets', 4],
    ['MQTT 5 over WebSocket', 'websockets', 5],
  ])('%s', async (_name, transport, version) => {
    const port = transport === 'tcp' ? gateway.ports.mqtt : gateway.ports.web
    const script = path.join(import.meta.dirname, 'clients-paho.py')
    const child = spawn(programs['python3-paho'], [script, transport, String(port), String(version)])
    let output = ''
    child.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()))
    child.stderr.on('data', (bytes: Buffer) => (output += bytes.toString()))
    await new Promise((resolve) => child.once('close', resolve))
    const prefix = `paho/${transport}/${version}`
    expect(output.trim().split('\n')).toEqual([
      ...[0, 1, 2].map((qos) => `live ${prefix}/qos/${qos} ${qos} 0 m${qos}`),
      `retained ${prefix}/kept 1 1 kept`,
      `will ${prefix}/will 1 0 gone`,
      'session present 1',
      ...Array.from({ length: 50 }, (_, i) => `queued ${prefix}/away ${(i % 2) + 1} 0 ${i}`).filter(
        (_, i) => i % 2 === 0,
      ),
      ...Array.from({ length: 50 }, (_, i) => `queued ${prefix}/away ${(i % 2) + 1} 0 ${i}`).filter(
        (_, i) => i % 2 === 1,
      ),
    ])
  })
})
