import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LARGEST_PROXY_HEADER, readProxyHeader } from './proxy-header.js'
import { proxyHeaderV2 } from './testing.js'

const text = (line: string) => readProxyHeader(Buffer.from(line, 'latin1'))
const client = (address: string, port: number) => ({ address, port })

describe('version 2', () => {
  it('tells the client of an IPv4 connection', () => {
    const header = proxyHeaderV2({ address: '192.0.2.7', port: 49_152 })
    expect(readProxyHeader(Buffer.concat([header, Buffer.from('MQTT')]))).toEqual({
      state: 'complete',
      length: 28,
      client: client('192.0.2.7', 49_152),
    })
  })

  it('writes IPv6 addresses in their shortest form, and IPv4 ones as such', () => {
    const read = (address: string) => readProxyHeader(proxyHeaderV2({ address, port: 1 }))
    expect(read('2001:db8:0:0:0:0:0:1')).toMatchObject({ client: client('2001:db8::1', 1) })
    expect(read('::ffff:192.0.2.7')).toMatchObject({ client: client('192.0.2.7', 1) })
  })

  it('passes over extensions, up to a bound', () => {
    const header = (bytes: number) =>
      readProxyHeader(proxyHeaderV2({ address: '192.0.2.7', port: 1, extensions: Buffer.alloc(bytes) }))
    expect(header(500)).toMatchObject({ state: 'complete', length: 528 })
    expect(header(LARGEST_PROXY_HEADER - 28)).toMatchObject({
      state: 'complete',
      length: LARGEST_PROXY_HEADER,
    })
    expect(header(LARGEST_PROXY_HEADER - 27)).toMatchObject({ state: 'malformed' })
  })

  it('takes LOCAL, Unix sockets and datagrams for a client that is not known', () => {
    const header = proxyHeaderV2({ address: '192.0.2.7', port: 1 })
    for (const [at, value] of [
      [12, 0x20],
      [13, 0x31],
      [13, 0x12],
      [13, 0x00],
    ] as const) {
      const bytes = Buffer.from(header)
      bytes[at] = value
      expect(readProxyHeader(bytes)).toEqual({ state: 'complete', length: 28, client: undefined })
    }
  })

  it('refuses other versions and commands, and addresses cut short', () => {
    const header = proxyHeaderV2({ address: '192.0.2.7', port: 1 })
    for (const [at, value] of [
      [0, 0x0e],
      [11, 0x0b],
      [12, 0x11],
      [12, 0x22],
      [15, 11],
    ] as const) {
      const bytes = Buffer.from(header)
      bytes[at] = value
      expect(readProxyHeader(bytes)).toMatchObject({ state: 'malformed' })
    }
  })
})

describe('version 1', () => {
  it('tells the client', () => {
    expect(text('PROXY TCP4 192.0.2.7 198.51.100.1 49152 1883\r\nMQTT')).toEqual({
      state: 'complete',
      length: 46,
      client: client('192.0.2.7', 49_152),
    })
    expect(text('PROXY TCP6 2001:0db8::0001 ::1 65535 1\r\n')).toMatchObject({
      client: client('2001:db8::1', 65_535),
    })
  })

  it('takes UNKNOWN for a client that is not known', () => {
    expect(text('PROXY UNKNOWN\r\n')).toEqual({ state: 'complete', length: 15, client: undefined })
    expect(text('PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n')).toMatchObject({ client: undefined })
  })

  it.each([
    'PROXY TCP4 192.0.2.7 198.51.100.1 49152\r\n',
    'PROXY TCP4 192.0.2.700 198.51.100.1 1 1\r\n',
    'PROXY TCP4 ::1 ::1 1 1\r\n',
    'PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 65536 1\r\n',
    'PROXY TCP4  192.0.2.7 198.51.100.1 1 1\r\n',
    'PROXY UDP4 192.0.2.7 198.51.100.1 1 1\r\n',
    `PROXY UNKNOWN ${'x'.repeat(92)}\r\n`,
    'GET /mqtt HTTP/1.1\r\n',
    'PROXYING',
  ])('refuses %j', (line) => {
    expect(text(line)).toMatchObject({ state: 'malformed' })
  })
})

describe('any bytes', () => {
  const anyHeader = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc
      .tuple(fc.constant(proxyHeaderV2({ address: '192.0.2.7', port: 1 })), fc.nat(27), fc.nat(255))
      .map(([header, at, value]) => {
        const bytes = Buffer.from(header)
        bytes[at] = value
        return bytes
      }),
    fc.string({ unit: 'binary', maxLength: 120 }).map((line) => Buffer.from(`PROXY ${line}\r\n`)),
    fc.string({ maxLength: 80 }).map((line) => Buffer.from(`PROXY TCP6 ${line} ::1 1 1\r\n`)),
  )

  it('never throw, and never ask for more than the bound', () => {
    fc.assert(
      fc.property(anyHeader, fc.uint8Array({ minLength: LARGEST_PROXY_HEADER }), (head, rest) => {
        const header = readProxyHeader(Buffer.concat([head, rest]))
        expect(header.state === 'complete' ? header.length <= LARGEST_PROXY_HEADER : header.state).not.toBe(
          false,
        )
        expect(header.state).not.toBe('incomplete')
      }),
    )
  })

  it('mean the same however they are cut', () => {
    fc.assert(
      fc.property(anyHeader, (input) => {
        const bytes = Buffer.from(input)
        const whole = readProxyHeader(bytes)
        for (let length = 0; length < bytes.length; length++) {
          const part = readProxyHeader(bytes.subarray(0, length))
          if (part.state === 'incomplete') continue
          // What the first bytes have decided the others do not change.
          expect(part.state).toBe(whole.state)
          if (part.state === 'complete') expect(part).toEqual(whole)
        }
      }),
    )
  })
})
