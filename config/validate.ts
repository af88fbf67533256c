import type { z } from 'zod'
import { childOf, describeType, jsonSchema, keysOf, schemaAt, type SchemaNode } from './json-schema.js'
import { formatPath, showValue, type Fault, type KeyPath } from './problem.js'

/** A check across keys that no single key's schema can make. */
export interface Check<Settings> {
  /** Top-level sections that the check reads. It runs when these are sound, whatever is wrong elsewhere. */
  readonly reads: readonly (keyof Settings & string)[]
  readonly run: (settings: Settings) => readonly Fault[]
}

export interface ValidateOptions<Schema extends z.ZodObject> {
  readonly schema: Schema
  readonly checks: readonly Check<z.output<Schema>>[]
  /** `formatPath` of each value that comes from the environment: it takes the type that its key has. */
  readonly fromEnvironment: ReadonlyMap<string, string>
  readonly readScalar: (text: string) => unknown
}

export type Validated<Settings> =
  | { readonly ok: true; readonly settings: Settings }
  | { readonly ok: false; readonly faults: readonly Fault[] }

export function validate<Schema extends z.ZodObject>(
  input: unknown,
  options: ValidateOptions<Schema>,
): Validated<z.output<Schema>> {
  const { schema, checks } = options
  const tree = typedByKey(input ?? {}, options)
  const whole = schema.safeParse(tree)
  if (whole.success) {
    const faults = checks.flatMap((check) => check.run(whole.data))
    return faults.length === 0 ? { ok: true, settings: whole.data } : { ok: false, faults }
  }
  const root = jsonSchema(schema)
  const faults = whole.error.issues.flatMap((issue) => faultsOf(issue, root, tree, options.fromEnvironment))
  return { ok: false, faults: [...faults, ...checksOfSoundSections(tree, options)] }
}

/**
 * An environment variable is text. Where the key wants a number or a boolean, the text is read as a YAML scalar; where
 * the key wants text, a password `12345` stays text.
 */
function typedByKey(tree: unknown, options: ValidateOptions<z.ZodObject>): unknown {
  if (options.fromEnvironment.size === 0) return tree
  const result = options.schema.safeParse(tree)
  if (result.success) return tree
  const typed = structuredClone(tree)
  for (const issue of result.error.issues) {
    const path = keyPath(issue.path)
    if (!WANTS_ANOTHER_TYPE.has(issue.code) || !options.fromEnvironment.has(formatPath(path))) continue
    const last = path.at(-1)
    const parent = path.slice(0, -1).reduce<unknown>(childOf, typed)
    const text = last === undefined ? undefined : childOf(parent, last)
    if (last === undefined || typeof text !== 'string' || text === '') continue
    ;(parent as Record<string | number, unknown>)[last] = options.readScalar(text)
  }
  return typed
}

/** What zod says of text where a number, a boolean, or one of several types is wanted. */
const WANTS_ANOTHER_TYPE: ReadonlySet<string> = new Set(['invalid_type', 'invalid_union', 'invalid_value'])

function checksOfSoundSections<Schema extends z.ZodObject>(
  tree: unknown,
  { schema, checks }: ValidateOptions<Schema>,
): readonly Fault[] {
  const sound: Record<string, unknown> = {}
  for (const [key, section] of Object.entries(schema.shape)) {
    const result = (section as z.ZodType).safeParse(childOf(tree, key))
    if (result.success) sound[key] = result.data
  }
  return checks
    .filter((check) => check.reads.every((key) => Object.hasOwn(sound, key)))
    .flatMap((check) => check.run(sound as z.output<Schema>))
}

function faultsOf(
  issue: z.core.$ZodIssue,
  root: SchemaNode,
  tree: unknown,
  fromEnvironment: ReadonlyMap<string, string>,
): readonly Fault[] {
  const path = keyPath(issue.path)
  if (issue.code === 'unrecognized_keys') {
    const known = keysOf(schemaAt(root, tree, path))
    return issue.keys.map((key) => unknownKey([...path, key], key, known))
  }
  const template = fromEnvironment.get(formatPath(path))
  const value = path.reduce<unknown>(childOf, tree)
  // A value from the environment may be a secret.
  const found = template === undefined ? showValue(value) : `the value of ${showValue(template)}`
  return [{ path, found, allowed: allowedBy(issue, schemaAt(root, tree, path)) }]
}

function allowedBy(issue: z.core.$ZodIssue, node: SchemaNode | undefined): string {
  // These carry the schema's own words.
  if (issue.code === 'custom' || issue.code === 'invalid_format') return issue.message
  if (issue.code === 'invalid_union' && issue.discriminator !== undefined && 'options' in issue) {
    const options = issue.options as readonly unknown[] | undefined
    if (options !== undefined) return options.map((option) => `\`${String(option)}\``).join(', ')
  }
  return node === undefined ? issue.message : describeType(node)
}

function unknownKey(path: KeyPath, key: string, known: readonly string[]): Fault {
  const near = nearest(key, known)
  const list = known.map((name) => `\`${name}\``).join(', ')
  return {
    path,
    found: 'an unknown key',
    allowed: near === undefined ? list : `\`${near}\` (did you mean that?), one of ${list}`,
    atKey: true,
  }
}

/** The known key that a typing error most likely meant: at most a third of its letters differ. */
export function nearest(key: string, known: readonly string[]): string | undefined {
  // Longer than any key of ours: not a typing error, and the table below would grow with it.
  if (key.length > 64) return undefined
  let best: string | undefined
  let bestDistance = Infinity
  for (const name of known) {
    const distance = editDistance(key.toLowerCase(), name.toLowerCase())
    if (distance < bestDistance && distance <= Math.max(1, Math.floor(name.length / 3))) {
      best = name
      bestDistance = distance
    }
  }
  return best
}

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
function editDistance(left: string, right: string): number {
  let beforePrevious: number[] = []
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let i = 1; i <= left.length; i++) {
    const row = [i]
    for (let j = 1; j <= right.length; j++) {
      const replaced = (previous[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1)
      let cost = Math.min(replaced, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1)
      if (i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1])
        cost = Math.min(cost, (beforePrevious[j - 2] ?? 0) + 1)
      row.push(cost)
    }
    beforePrevious = previous
    previous = row
  }
  return previous[right.length] ?? 0
}

function keyPath(path: readonly PropertyKey[]): KeyPath {
  return path.map((part) => (typeof part === 'number' ? part : String(part)))
}
