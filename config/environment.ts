import { formatPath, showValue, type Fault, type KeyPath } from './problem.js'

export type Environment = Readonly<Record<string, string | undefined>>

export interface Expanded {
  readonly tree: unknown
  /** Paths of values that come from the environment (`formatPath`), with the text as written in the file. */
  readonly fromEnvironment: ReadonlyMap<string, string>
  readonly faults: readonly Fault[]
}

export interface ExpandOptions {
  readonly environment: Environment
  /** Values with placeholders of their own, such as `${clientId}`: only names in capitals are replaced there. */
  readonly hasOwnPlaceholders: (path: KeyPath) => boolean
}

/**
 * Fills `${NAME}` and `${NAME:-default}` in text values. The default counts when the variable is missing or empty,
 * as in a shell. What was filled in is not searched again, so a password may hold `${`.
 */
export function expandEnvironment(tree: unknown, options: ExpandOptions): Expanded {
  const fromEnvironment = new Map<string, string>()
  const faults: Fault[] = []

  function visit(value: unknown, path: KeyPath): unknown {
    if (Array.isArray(value)) return value.map((item, index) => visit(item, [...path, index]))
    if (typeof value === 'object' && value !== null)
      return Object.fromEntries(
        Object.entries(value).map(([key, item]) => [key, visit(item, [...path, key])]),
      )
    if (typeof value !== 'string' || !value.includes('${')) return value
    return value.replace(
      PLACEHOLDER,
      (whole: string, name: string | undefined, fallback: string | undefined) => {
        if (name === undefined) {
          if (!options.hasOwnPlaceholders(path)) faults.push(malformed(path, whole))
          return whole
        }
        fromEnvironment.set(formatPath(path), value)
        const setting = Object.hasOwn(options.environment, name) ? options.environment[name] : undefined
        if (setting !== undefined && (setting !== '' || fallback === undefined)) return setting
        if (fallback !== undefined) return fallback
        faults.push({
          path,
          found: `\${${name}}, and no environment variable ${name}`,
          allowed: `the variable set, or a default: \${${name}:-value}`,
        })
        return whole
      },
    )
  }

  return { tree: visit(tree, []), fromEnvironment, faults }
}

/** A placeholder in capitals with its default, or anything else that begins like one. */
const PLACEHOLDER = /\$\{(?:([A-Z_][A-Z0-9_]*)(?::-([^}]*))?\}|[^}]*\}?)/g

function malformed(path: KeyPath, text: string): Fault {
  return {
    path,
    found: `the placeholder ${showValue(text)}`,
    allowed: '${NAME} or ${NAME:-default}, with the name of an environment variable in capitals',
  }
}
