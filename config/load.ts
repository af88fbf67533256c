import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { checks } from './checks.js'
import type { Environment } from './environment.js'
import type { KeyPath } from './problem.js'
import { configSchema, type Config, type ConfigInput } from './schema.js'
import { readSettings, readSettingsFile, type SettingsKind } from './settings.js'

export interface LoadOptions {
  /** File to read; undefined: `config/gateway.yaml` in the working directory, where there is one. */
  readonly file: string | undefined
  /** `path.to.key=value`, applied in order. */
  readonly overrides: readonly string[]
  readonly env: Environment
  /** Where the default file is looked for. Default: the working directory. */
  readonly directory?: string
}

export interface LoadedConfig {
  readonly config: Config
  readonly source: ConfigSource
}

/** `defaults`: no file was named and the default one does not exist. */
export type ConfigSource =
  { readonly kind: 'file'; readonly file: string } | { readonly kind: 'defaults'; readonly looked: string }

/** Relative to the working directory, as are all paths in the file. */
export const DEFAULT_FILE = 'config/gateway.yaml'

/**
 * The configuration of a gateway, or a `GatewayError`: `CONFIG_UNREADABLE` (a named file that is missing, text that is
 * not YAML) or `CONFIG_INVALID`, a `SettingsError` with all problems at once.
 */
export function loadConfig({ file, overrides, env, directory = '.' }: LoadOptions): LoadedConfig {
  const source = findSource(file, directory)
  const text = source.kind === 'file' ? readSettingsFile(source.file, 'CONFIG_UNREADABLE') : ''
  const name = source.kind === 'file' ? source.file : undefined
  return { config: readSettings(gatewaySettings, { name, text, overrides, environment: env }), source }
}

/** A configuration made by a program: the same defaults and checks, without files and environment. */
export function parseConfig(input: ConfigInput): Config {
  const source = { name: undefined, text: JSON.stringify(input), overrides: [], environment: {} }
  return readSettings(gatewaySettings, source)
}

export const gatewaySettings: SettingsKind<typeof configSchema> = {
  schema: configSchema,
  checks,
  hasOwnPlaceholders: isTemplate,
  codes: { unreadable: 'CONFIG_UNREADABLE', invalid: 'CONFIG_INVALID' },
}

function findSource(file: string | undefined, directory: string): ConfigSource {
  if (file !== undefined) return { kind: 'file', file }
  return existsSync(join(directory, DEFAULT_FILE))
    ? { kind: 'file', file: DEFAULT_FILE }
    : { kind: 'defaults', looked: DEFAULT_FILE }
}

/** Where `${clientId}` and its like are filled in for each client: `access.rules[n].topics[m]` and one more. */
function isTemplate([section, key, , field]: KeyPath): boolean {
  return (
    (section === 'access' && key === 'rules' && field === 'topics') ||
    (section === 'session' && key === 'responseInformation')
  )
}
