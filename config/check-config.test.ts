import { describe, expect, it } from 'vitest'
import { checkConfig, reportExitCode, reportText } from './check-config.js'

const check = (overrides: readonly string[], file?: string) => checkConfig({ file, overrides, env: {} })

describe('check-config', () => {
  it('says ok and of which file', () => {
    const report = check([])
    expect(report).toEqual({ ok: true, source: { kind: 'file', file: 'config/gateway.yaml' } })
    expect(reportText(report)).toBe('ok: config/gateway.yaml')
    expect(reportExitCode(report)).toBe(0)
  })

  it('lists every problem on a line of its own', () => {
    const report = check(['admin.port=x', 'log.level=loud'])
    expect(reportExitCode(report)).toBe(2)
    expect(reportText(report).split('\n')).toEqual([
      '2 problems in the configuration:',
      '  admin.port: found "x"; allowed: integer, 0 to 65,535 (--set admin.port=x)',
      '  log.level: found "loud"; allowed: `trace`, `debug`, `info`, `warn`, `error`, `silent` (--set log.level=loud)',
    ])
    expect(report).toMatchObject({
      ok: false,
      code: 'CONFIG_INVALID',
      problems: [{ path: 'admin.port' }, {}],
    })
  })

  it('names a file that is not there', () => {
    const report = check([], 'no/such.yaml')
    expect(report).toMatchObject({ ok: false, code: 'CONFIG_UNREADABLE', problems: [] })
    expect(reportText(report)).toBe('no/such.yaml does not exist')
  })
})
