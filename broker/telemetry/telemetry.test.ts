import { readFileSync } from 'node:fs'
import { Registry, register } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { createLog } from './log.js'
import { metricsPage } from './metrics-page.js'
import { connection, observed } from './testing.js'

const connected = {
  version: 5,
  cleanStart: true,
  sessionPresent: false,
  username: 'ann',
  grantedBy: 'jwt',
  keepAliveSeconds: 60,
} as const

describe('metrics', () => {
  it('follow a connection through its life', async () => {
    const { telemetry, value } = observed()
    const info = connection()
    telemetry.transport.connectionOpened(info)
    telemetry.session.connected(info, 'c1', connected)
    expect(await value('openclaw_connections{listener="web"}')).toBe(1)
    expect(await value('openclaw_connections{listener="mqtt"}')).toBe(0)
    expect(await value('openclaw_clients')).toBe(1)
    expect(await value('openclaw_connects_accepted_total{version="5"}')).toBe(1)

    telemetry.session.disconnected(info, 'c1', 'taken_over')
    telemetry.transport.connectionClosed(info, 'taken_over')
    expect(await value('openclaw_connections{listener="web"}')).toBe(0)
    expect(await value('openclaw_connections_opened_total{listener="web"}')).toBe(1)
    expect(await value('openclaw_connections_closed_total{cause="taken_over"}')).toBe(1)
    expect(await value('openclaw_clients')).toBe(0)
  })

  it('count messages and bytes by QoS, and scrape the same twice', async () => {
    const { telemetry, value } = observed()
    telemetry.session.messageReceived(1, 64)
    telemetry.session.messageReceived(1, 36)
    telemetry.session.messageSent(2, 5)
    telemetry.transport.bytesReceived(1_000)
    telemetry.transport.bytesSent(2_000)
    for (let scrape = 0; scrape < 2; scrape++) {
      expect(await value('openclaw_messages_received_total{qos="1"}')).toBe(2)
      expect(await value('openclaw_message_bytes_received_total{qos="1"}')).toBe(100)
      expect(await value('openclaw_messages_received_total{qos="0"}')).toBe(0)
      expect(await value('openclaw_messages_sent_total{qos="2"}')).toBe(1)
      expect(await value('openclaw_bytes_received_total')).toBe(1_000)
      expect(await value('openclaw_bytes_sent_total')).toBe(2_000)
    }
  })

  it('gather drops of all parts by reason', async () => {
    const { telemetry, value } = observed()
    telemetry.transport.outboxDropped(connection(), 3, 300)
    telemetry.session.messageDropped('slow_receiver', 'c1', 2)
    telemetry.store.queueDropped('c1', 'drop-oldest', 4)
    telemetry.store.messagesExpired('c1', 5)
    expect(await value('openclaw_messages_dropped_total{reason="slow_receiver"}')).toBe(5)
    expect(await value('openclaw_messages_dropped_total{reason="queue_full"}')).toBe(4)
    expect(await value('openclaw_messages_dropped_total{reason="expired"}')).toBe(5)
    expect(await value('openclaw_messages_dropped_total{reason="too_large"}')).toBe(0)
  })

  it('ask for state when scraped', async () => {
    const { telemetry, value } = observed()
    expect(await value('openclaw_sessions')).toBe(0)
    let sessions = 1
    telemetry.watch({ sessions: () => sessions })
    telemetry.watch({ subscriptions: () => 9 })
    sessions = 2
    expect(await value('openclaw_sessions')).toBe(2)
    expect(await value('openclaw_subscriptions')).toBe(9)
  })

  it('say whether the store writes, and how long it takes', async () => {
    const { telemetry, value } = observed()
    telemetry.store.committed(5, 2)
    telemetry.store.writeFailed(new Error('disk full'))
    expect(await value('openclaw_store_writable')).toBe(0)
    telemetry.store.writesRecovered()
    expect(await value('openclaw_store_writable')).toBe(1)
    expect(await value('openclaw_store_operations_total')).toBe(5)
    expect(await value('openclaw_store_commit_duration_seconds_bucket{le="0.001"}')).toBe(0)
    expect(await value('openclaw_store_commit_duration_seconds_bucket{le="0.003"}')).toBe(1)
  })

  it('know the keys of an authenticator', async () => {
    const { telemetry, value, lines } = observed()
    telemetry.access.keysLoaded('jwt', 3)
    expect(await value('openclaw_authenticator_keys{authenticator="jwt"}')).toBe(3)
    telemetry.access.keysUnavailable('jwt', new Error('503'), 0, 1_000)
    expect(await value('openclaw_authenticator_keys{authenticator="jwt"}')).toBe(0)
    telemetry.access.authenticatorFailed('jwt', new Error('x'))
    expect(await value('openclaw_authenticator_failures_total{authenticator="jwt"}')).toBe(1)
    expect(lines.map(({ level }) => level)).toEqual(['info', 'error', 'warn'])
  })

  it('add up what pipelines report', async () => {
    const { telemetry, value } = observed()
    telemetry.bridges.pipelineState('feeds', 'starting', undefined)
    expect(await value('openclaw_bridge_records_dropped_total{pipeline="feeds",reason="late"}')).toBe(0)
    expect(await value('openclaw_bridge_lag_seconds{pipeline="feeds"}')).toBeUndefined()
    const progress = {
      recordsIn: 10,
      recordsOut: 2,
      filtered: 1,
      dropped: { late: 3 },
      partlyLate: 0,
      windowsClosed: 2,
      retries: 0,
      settledEarly: 0,
      lagMs: 1_500,
      groups: 4,
      unsettled: 5,
    }
    telemetry.bridges.pipelineProgress('feeds', progress)
    telemetry.bridges.pipelineProgress('feeds', { ...progress, groups: 1, lagMs: undefined })
    expect(await value('openclaw_bridge_records_in_total{pipeline="feeds"}')).toBe(20)
    expect(await value('openclaw_bridge_records_dropped_total{pipeline="feeds",reason="late"}')).toBe(6)
    expect(await value('openclaw_bridge_groups{pipeline="feeds"}')).toBe(1)
    expect(await value('openclaw_bridge_lag_seconds{pipeline="feeds"}')).toBe(1.5)
    expect(await value('openclaw_bridge_state{pipeline="feeds",state="starting"}')).toBe(1)
    telemetry.bridges.pipelineState('feeds', 'running', undefined)
    expect(await value('openclaw_bridge_state{pipeline="feeds",state="starting"}')).toBe(0)
  })

  it('keep to the conventions of Prometheus, and out of the global registry', async () => {
    const { telemetry } = observed()
    for (const { name, type, help } of await telemetry.metrics()) {
      expect(name).toMatch(/^(openclaw|process|nodejs)_[a-z_]+$/)
      expect(name.endsWith('_total'), name).toBe(String(type) === 'counter')
      expect(help).toMatch(/\.$/)
    }
    expect(register.getMetricsAsArray()).toEqual([])
    expect((await telemetry.scrape()).contentType).toBe(Registry.PROMETHEUS_CONTENT_TYPE)
  })

  it('measure the event loop and the process while running, and let go at the end', async () => {
    const { telemetry, value } = observed()
    await telemetry.start()
    expect(await value('openclaw_event_loop_delay_seconds{quantile="0.99"}')).toBeGreaterThanOrEqual(0)
    expect(await value('process_resident_memory_bytes')).toBeGreaterThan(1e6)
    expect(await value('nodejs_heap_size_used_bytes')).toBeGreaterThan(1e5)
    await telemetry.stop()
    await telemetry.stop()
  })

  it('are listed in docs/metrics.md', async () => {
    const isCurrent = readFileSync('docs/metrics.md', 'utf8') === (await metricsPage())
    expect(isCurrent, 'docs/metrics.md is stale: npm run docs').toBe(true)
  })
})

describe('the log', () => {
  it('has node, part, event and time in each line, and no secret', () => {
    const { telemetry, lines } = observed()
    telemetry.session.connected(connection(), 'c1', connected)
    telemetry.log('app').info({ password: 'hunter2', inner: { token: 'hunter2' } }, 'started')
    expect(lines).toEqual([
      {
        level: 'info',
        time: '2030-01-01T00:00:00.000Z',
        node: 'n1',
        part: 'session',
        event: 'client_connected',
        connection: 7,
        listener: 'web',
        remote: '192.0.2.1:50000',
        client: 'c1',
        version: '5',
        cleanStart: true,
        sessionPresent: false,
        keepAlive: 60,
        grantedBy: 'jwt',
        username: 'ann',
        msg: 'client connected',
      },
      expect.objectContaining({ part: 'app', password: '(secret)', inner: { token: '(secret)' } }),
    ])
  })

  it('escapes and cuts what clients have chosen', () => {
    const { telemetry, lines } = observed()
    telemetry.session.connectRefused(connection(), 'a\u001b[2J\u202e\u0085\ud800', 'bad_credentials')
    telemetry.session.willPublished('x'.repeat(65_535))
    telemetry.session.sessionExpired('😀 naïve')
    expect(lines.map(({ client }) => client)).toEqual([
      'a\\u{1b}[2J\\u{202e}\\u{85}\\u{d800}',
      `${'x'.repeat(128)}...(65535)`,
      '😀 naïve',
    ])
  })

  it('is bounded for each client and each event, and says what was left out', () => {
    const { telemetry, lines, clock } = observed()
    for (let i = 0; i < 1_000; i++)
      telemetry.session.protocolViolation(connection(), 'c', 'MQTT-1.0.0-1', 'x')
    expect(lines).toHaveLength(3)
    for (let i = 0; i < 1_000; i++)
      telemetry.session.protocolViolation(
        connection({ remoteAddress: `10.0.${i >> 8}.${i & 255}` }),
        'c',
        'r',
        'x',
      )
    expect(lines).toHaveLength(50)
    telemetry.session.connectRefused(connection(), undefined, 'no_credentials')
    expect(lines).toHaveLength(51)

    clock.advance(10_000)
    expect(lines).toHaveLength(52)
    expect(lines.at(-1)).toMatchObject({
      event: 'lines_suppressed',
      of: 'protocol_violation',
      lines: 1_950,
      seconds: 10,
    })
    telemetry.session.protocolViolation(connection(), 'c', 'MQTT-1.0.0-1', 'x')
    expect(lines).toHaveLength(53)
  })

  it('leaves no timer and nothing unsaid at the end', async () => {
    const { telemetry, lines, clock } = observed()
    for (let i = 0; i < 10; i++) telemetry.store.writeFailed(new Error('no space'))
    await telemetry.stop()
    expect(lines.at(-1)).toMatchObject({ of: 'store_write_failed', lines: 7 })
    expect(clock.pendingTimers).toBe(0)
  })

  it('shows details when asked for them', () => {
    const quiet = observed()
    const { telemetry, lines } = observed('debug')
    for (const each of [quiet.telemetry, telemetry]) {
      each.transport.connectionOpened(connection())
      each.session.subscribed('c1', 'a/#', 1)
    }
    expect(quiet.lines).toEqual([])
    expect(lines.map(({ event }) => event)).toEqual(['connection_opened', 'subscribed'])
  })

  it('tells data loss and trouble from what comes and goes', () => {
    const { telemetry, lines } = observed()
    const info = connection()
    telemetry.transport.listening('web', '127.0.0.1:8080')
    telemetry.transport.connectionRefused('web', '192.0.2.1', 'origin')
    telemetry.transport.handlerFailed(info, new TypeError('defect'))
    telemetry.transport.acceptFailed('web', Object.assign(new Error('accept'), { code: 'EMFILE' }))
    telemetry.store.opened('level', { sessions: 1, retained: 2, milliseconds: 3 })
    telemetry.store.entryDamaged('session', 'c1', new Error('bad'))
    telemetry.bridges.pipelineRetrying('p', 'sink', 1, 1_000, new Error('away'))
    telemetry.bridges.recordsDropped('p', 'late', 5, 't', 'd')
    telemetry.bridges.bridgeWorkerExited(new Error('gone'), 1_000)
    expect(lines.map(({ level, event }) => [level, event])).toEqual([
      ['info', 'listening'],
      ['warn', 'connection_refused'],
      ['error', 'handler_failed'],
      ['error', 'accept_failed'],
      ['info', 'store_opened'],
      ['error', 'store_entry_damaged'],
      ['warn', 'pipeline_retrying'],
      ['warn', 'records_dropped_late'],
      ['error', 'bridge_worker_exited'],
    ])
    expect(lines[3]).toMatchObject({ error: 'Error: accept', code: 'EMFILE' })
  })
})

describe('the log for people', () => {
  it('is one line of text for each event', () => {
    const { clock } = observed()
    let text = ''
    const log = createLog({
      level: 'info',
      format: 'pretty',
      node: 'n1',
      clock,
      destination: { write: (line) => (text += line) },
    })
    log.child({ part: 'store' }).info({ event: 'x', sessions: 1 }, 'store opened')
    expect(text).toMatch(/^\[.*\] INFO: store: store opened \{"sessions":1\}\n$/)
  })
})
