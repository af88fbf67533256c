import { readFileSync } from 'node:fs'
import type { z } from 'zod'
import { GatewayError, type ErrorCode } from '../broker/contract/errors.js'
import { LARGEST_FILE_BYTES, readDocument, readValue, type SettingsDocument } from './document.js'
import { expandEnvironment, type Environment } from './environment.js'
import { childOf } from './json-schema.js'
import { applyOverrides, type Overridden } from './overrides.js'
import { formatPath, SettingsError, type Fault, type KeyPath, type Problem } from './problem.js'
import { validate, type Check } from './validate.js'

/** A kind of settings file: the gateway's configuration, the bridges, a simulator profile. */
export interface SettingsKind<Schema extends z.ZodObject> {
  readonly schema: Schema
  readonly checks: readonly Check<z.output<Schema>>[]
  /** Values with placeholders of their own. Default: none. */
  readonly hasOwnPlaceholders?: (path: KeyPath) => boolean
  readonly codes: { readonly unreadable: ErrorCode; readonly invalid: ErrorCode }
}

export interface SettingsSource {
  /** Name of the file in messages; undefined when there is none. */
  readonly name: string | undefined
  readonly text: string
  readonly overrides: readonly string[]
  readonly environment: Environment
}

/**
 * Reads settings: YAML, then the environment, then overrides, then the schema, then checks across keys.
 * Throws a `SettingsError` with everything that is wrong at once.
 */
export function readSettings<Schema extends z.ZodObject>(
  kind: SettingsKind<Schema>,
  source: SettingsSource,
): z.output<Schema> {
  const document = readDocument(source.text)
  if (!('tree' in document))
    throw new SettingsError(
      kind.codes.unreadable,
      document.map(({ found, allowed, position }) => ({
        path: '',
        found,
        allowed,
        where: placeText(source, position),
      })),
    )

  const defaults = kind.schema.safeParse({})
  const expanded = expandEnvironment(document.tree, {
    environment: source.environment,
    hasOwnPlaceholders: kind.hasOwnPlaceholders ?? (() => false),
  })
  const overridden = applyOverrides(expanded.tree, source.overrides, defaults.data)
  const result = validate(overridden.tree, {
    schema: kind.schema,
    checks: kind.checks,
    fromEnvironment: withoutOverridden(expanded.fromEnvironment, overridden),
    readScalar: (text) => {
      const read = readValue(text)
      return 'value' in read && typeof read.value !== 'object' ? read.value : text
    },
  })

  const place = (fault: Fault): Problem => placed(fault, source, document, overridden)
  const environmentProblems = expanded.faults.map(place)
  const reported = new Set(environmentProblems.map(({ path }) => path))
  const problems = [
    ...environmentProblems,
    ...overridden.faults.map((fault) => ({
      path: formatPath(fault.path),
      found: fault.found,
      allowed: fault.allowed,
      where: `--set ${fault.text}`,
    })),
    // A value without its variable is wrong in every other way, too: once is enough.
    ...(result.ok ? [] : result.faults.map(place).filter(({ path }) => path === '' || !reported.has(path))),
  ]
  if (problems.length > 0 || !result.ok) throw new SettingsError(kind.codes.invalid, problems)
  return result.settings
}

/** Reads a file as text, or throws the given code with what can be done. */
export function readSettingsFile(file: string, code: ErrorCode): string {
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code
    const message =
      reason === 'ENOENT'
        ? `${file} does not exist`
        : `${file} cannot be read: ${reason === 'EISDIR' ? 'it is a folder' : (error as Error).message}`
    throw new GatewayError(code, message, { cause: error })
  }
  if (bytes.length > LARGEST_FILE_BYTES)
    throw new GatewayError(
      code,
      `${file} has ${bytes.length} bytes; settings have up to ${LARGEST_FILE_BYTES}`,
    )
  return bytes.toString('utf8')
}

function placed(
  fault: Fault,
  source: SettingsSource,
  document: SettingsDocument,
  { set }: Overridden,
): Problem {
  const path = formatPath(fault.path)
  const inFile = fault.path.reduce<unknown>(childOf, document.tree) !== undefined
  const override =
    set.findLast((entry) => leadsTo(entry.path, fault.path)) ??
    (inFile ? undefined : set.findLast((entry) => leadsTo(fault.path, entry.path)))
  const where =
    override === undefined
      ? placeText(source, document.locate(fault.path, fault.atKey ?? false))
      : `--set ${override.text}`
  return { path, found: fault.found, allowed: fault.allowed, where }
}

/** Whether a path goes through (or ends at) what the other one names. */
function leadsTo(outer: KeyPath, inner: KeyPath): boolean {
  return outer.every((part, depth) => inner[depth] === part)
}

function placeText(source: SettingsSource, position: { line: number; column: number } | undefined): string {
  if (source.name === undefined) return 'the configuration'
  return position === undefined ? source.name : `${source.name}:${position.line}:${position.column}`
}

function withoutOverridden(
  fromEnvironment: ReadonlyMap<string, string>,
  { set }: Overridden,
): ReadonlyMap<string, string> {
  if (set.length === 0) return fromEnvironment
  const overridden = new Set(set.map(({ path }) => formatPath(path)))
  return new Map([...fromEnvironment].filter(([path]) => !overridden.has(path)))
}
