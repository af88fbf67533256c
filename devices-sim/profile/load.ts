import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { GatewayError } from '../../broker/contract/errors.js'
import type { Environment } from '../../config/environment.js'
import { readSettings, readSettingsFile, type SettingsKind } from '../../config/settings.js'
import { profileChecks, profileSchema, type Profile } from './schema.js'

export const DEFAULT_PROFILE = 'office'

/**
 * Reads a profile: the name of one that comes with the simulator (`office`), or the path of a YAML file. Throws
 * `PROFILE_INVALID` with every problem at once.
 */
export function loadProfile(nameOrFile: string, environment: Environment): Profile {
  const shipped = join(profilesFolder(), `${nameOrFile}.yaml`)
  const isName = /^[\w-]+$/.test(nameOrFile)
  if (isName && !existsSync(shipped)) {
    throw new GatewayError('PROFILE_INVALID', `there is no profile named \`${nameOrFile}\``, {
      hint: `Name one of ${shippedProfiles().join(', ')}, or the path of a file (./${nameOrFile}.yaml).`,
    })
  }
  const file = isName ? shipped : nameOrFile
  const text = readSettingsFile(file, 'PROFILE_INVALID')
  return parseProfile(text, { name: file, environment })
}

export function parseProfile(
  text: string,
  source: { readonly name: string | undefined; readonly environment: Environment },
): Profile {
  return readSettings(profileSettings, { ...source, text, overrides: [] })
}

/** Names of the profiles that come with the simulator. */
export function shippedProfiles(): readonly string[] {
  return readdirSync(profilesFolder())
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => name.slice(0, -'.yaml'.length))
    .sort()
}

const profileSettings: SettingsKind<typeof profileSchema> = {
  schema: profileSchema,
  checks: profileChecks,
  codes: { unreadable: 'PROFILE_INVALID', invalid: 'PROFILE_INVALID' },
}

/** The compiler leaves YAML where it is: from `dist/` the profiles are still those of the package's root. */
function profilesFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder)
  return join(folder, 'devices-sim', 'profiles')
}
