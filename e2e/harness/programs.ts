import { existsSync } from 'node:fs'
import path from 'node:path'
import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { MISSING } from './missing-mark.js'

/** Programs that tests drive, with the Debian package that brings each. */
const PACKAGES = {
  mosquitto: 'mosquitto',
  mosquitto_pub: 'mosquitto-clients',
  mosquitto_sub: 'mosquitto-clients',
  chromium: 'chromium',
  'redis-server': 'redis-server',
  haproxy: 'haproxy',
  openssl: 'openssl',
  'python3-paho': 'python3-paho-mqtt',
} as const

export type ProgramName = keyof typeof PACKAGES

/** Servers live where a user's PATH does not lead. */
const FOLDERS = [
  ...(process.env['PATH'] ?? '').split(path.delimiter),
  '/usr/sbin',
  '/usr/local/sbin',
  '/opt/homebrew/sbin',
]

/** Where a program is, or undefined. */
export function findProgram(name: ProgramName): string | undefined {
  if (name === 'python3-paho') return pythonWithPaho()
  return FOLDERS.map((folder) => path.join(folder, name)).find((file) => existsSync(file))
}

/** A Python that has the Paho client: the system's own where another one comes first in PATH. */
function pythonWithPaho(): string | undefined {
  return ['python3', '/usr/bin/python3'].find(
    (python) => spawnSync(python, ['-c', 'import paho.mqtt.client']).status === 0,
  )
}

/**
 * Tests that need installed programs. Where one is missing they are skipped, and the run says so at its end; with
 * CI=true that is a failure, because there nobody reads the last line.
 */
export function describeWith<Name extends ProgramName>(
  title: string,
  names: readonly Name[],
  tests: (programs: Record<Name, string>) => void,
): void {
  const found = names.map((name) => [name, findProgram(name)] as const)
  const missing = found.flatMap(([name, file]) => (file === undefined ? [name] : []))
  if (missing.length === 0) {
    describe(title, () => tests(Object.fromEntries(found) as Record<Name, string>))
    return
  }
  const packages = [...new Set(missing.map((name) => PACKAGES[name]))].join(' ')
  const need = `${MISSING} ${missing.join(', ')}; install it with: apt-get install ${packages}`
  describe(title, () => {
    if (process.env['CI'] === 'true') it('runs', () => expect.fail(need))
    else it.skip(need)
  })
}
