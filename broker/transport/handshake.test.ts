import { describe, expect, it } from 'vitest'
import { judgeHandshake, type HandshakeRules, type UpgradeRequest } from './handshake.js'

const rules: HandshakeRules = { path: '/mqtt', origins: [], loopback: false }

function request(
  headers: UpgradeRequest['headers'] = {},
  rest: Partial<UpgradeRequest> = {},
): UpgradeRequest {
  return {
    method: 'GET',
    url: '/mqtt',
    httpVersionMajor: 1,
    httpVersionMinor: 1,
    headers: {
      host: 'gateway.example:8080',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'sec-websocket-protocol': 'mqtt',
      ...headers,
    },
    ...rest,
  }
}

function refusalOf(asked: UpgradeRequest, by: HandshakeRules = rules) {
  const verdict = judgeHandshake(asked, by)
  return verdict.accepted ? undefined : { status: verdict.refusal.status, reason: verdict.refusal.reason }
}

it('answers the key with the digest of RFC 6455, 1.3', () => {
  expect(judgeHandshake(request(), rules)).toEqual({
    accepted: true,
    subprotocol: 'mqtt',
    acceptKey: 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
    bearerToken: undefined,
  })
})

it.each<[string, UpgradeRequest, number, string]>([
  ['another path', request({}, { url: '/mqtt/' }), 404, 'unknown_path'],
  ['another method', request({}, { method: 'POST' }), 405, 'bad_request'],
  ['HTTP/1.0', request({}, { httpVersionMinor: 0 }), 400, 'bad_request'],
  ['an upgrade to something else', request({ upgrade: 'h2c' }), 400, 'bad_request'],
  ['another version', request({ 'sec-websocket-version': '8' }), 426, 'bad_request'],
  ['no key', request({ 'sec-websocket-key': undefined }), 400, 'bad_request'],
  ['a key of another length', request({ 'sec-websocket-key': 'c2hvcnQ=' }), 400, 'bad_request'],
  ['two keys', request({ 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==, x' }), 400, 'bad_request'],
  ['no subprotocol', request({ 'sec-websocket-protocol': undefined }), 400, 'subprotocol'],
  ['unknown subprotocols', request({ 'sec-websocket-protocol': 'amqp, MQTT' }), 400, 'subprotocol'],
  ['a foreign origin', request({ origin: 'https://evil.example' }), 403, 'origin'],
  ['a page from a file', request({ origin: 'null' }), 403, 'origin'],
])('refuses %s', (_what, asked, status, reason) => {
  expect(refusalOf(asked)).toEqual({ status, reason })
})

it.each([
  ['mqtt', 'mqtt'],
  ['mqttv3.1', 'mqttv3.1'],
  ['amqp , mqttv3.1,mqtt', 'mqttv3.1'],
  ['mqtt, mqttv3.1', 'mqtt'],
])('of the subprotocols %s takes the first acceptable', (offered, chosen) => {
  expect(judgeHandshake(request({ 'sec-websocket-protocol': offered }), rules)).toMatchObject({
    subprotocol: chosen,
  })
})

describe('the bearer token', () => {
  function tokenOf(authorization: string | undefined, url: string) {
    const verdict = judgeHandshake(request({ authorization }, { url }), rules)
    return verdict.accepted ? verdict.bearerToken : 'refused'
  }

  it.each([
    ['Bearer abc.def', '/mqtt', 'abc.def'],
    ['bearer abc', '/mqtt?token=other', 'abc'],
    [undefined, '/mqtt?access_token=a%2Bb', 'a+b'],
    [undefined, '/mqtt?x=1&token=t', 't'],
    [undefined, '/mqtt?token=', undefined],
    ['Basic dTpw', '/mqtt', undefined],
    [undefined, '/mqtt?', undefined],
  ])('of %s and %s', (authorization, url, token) => {
    expect(tokenOf(authorization, url)).toBe(token)
  })

  it('is not in a refusal', () => {
    const verdict = judgeHandshake(request({}, { url: '/other?token=geheim' }), rules)
    expect(JSON.stringify(verdict)).not.toContain('geheim')
  })
})

describe('the origin', () => {
  function allowed(origin: string, host: string, by: Partial<HandshakeRules> = {}) {
    return judgeHandshake(request({ origin, host }), { ...rules, ...by }).accepted
  }

  it('may be the host itself, default ports included', () => {
    expect(allowed('http://gateway.example:8080', 'gateway.example:8080')).toBe(true)
    expect(allowed('https://Gateway.example', 'gateway.EXAMPLE')).toBe(true)
    expect(allowed('https://gateway.example', 'gateway.example:443')).toBe(true)
    expect(allowed('http://gateway.example:8081', 'gateway.example:8080')).toBe(false)
    expect(allowed('http://gateway.example:8080', 'gateway.example:8080.evil.example')).toBe(false)
  })

  it('may be a configured one', () => {
    const origins = ['https://app.example']
    expect(allowed('https://app.example', 'gateway.example', { origins })).toBe(true)
    expect(allowed('http://app.example', 'gateway.example', { origins })).toBe(false)
    expect(allowed('https://app.example.evil', 'gateway.example', { origins })).toBe(false)
    expect(allowed('null', 'gateway.example', { origins: ['*'] })).toBe(true)
  })

  it('on a loopback listener has to have a loopback name (DNS rebinding)', () => {
    const loopback = { loopback: true }
    expect(allowed('http://evil.example:8080', 'evil.example:8080', loopback)).toBe(false)
    const disguised = '127.0.0.1.evil.example:8080'
    expect(allowed(`http://${disguised}`, disguised, loopback)).toBe(false)
    for (const host of ['localhost:8080', '127.0.0.1:8080', '[::1]:8080']) {
      expect(allowed(`http://${host}`, host, loopback)).toBe(true)
    }
  })
})
