import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument, type Document } from 'yaml'
import type { Fault, KeyPath } from './problem.js'

/** A YAML file as plain values, with the way back to the place where each was written. */
export interface SettingsDocument {
  /** Plain objects, arrays and scalars. A key without a value is there with `undefined`: not set, yet known. */
  readonly tree: unknown
  /** Place of the value (or of its key); of the nearest section around it when it is not in the file. */
  locate(path: KeyPath, atKey: boolean): Position | undefined
}

/** Both count from 1. */
export interface Position {
  readonly line: number
  readonly column: number
}

export interface SyntaxFault extends Fault {
  readonly position: Position | undefined
}

/** Settings are written by hand: larger is a mistake, such as the wrong file. */
export const LARGEST_FILE_BYTES = 1_048_576

/** YAML 1.2, core schema, one document. Never throws: what cannot be read comes back as faults. */
export function readDocument(text: string): SettingsDocument | readonly SyntaxFault[] {
  const lines = new LineCounter()
  try {
    const document = parseDocument(text, {
      lineCounter: lines,
      version: '1.2',
      schema: 'core',
      stringKeys: true,
      uniqueKeys: true,
      // Tags such as !!binary or !!set would bring values that no key takes; unknown ones are warnings below.
      resolveKnownTags: false,
      prettyErrors: false,
      logLevel: 'error',
    })
    const faults = [...document.errors, ...document.warnings].map(({ message, pos }) =>
      syntaxFault(message, positionAt(lines, pos[0])),
    )
    if (faults.length > 0) return firstOfEachLine(faults)
    const tree = withoutNulls(document.toJS({ maxAliasCount: 100 }))
    return { tree, locate: (path, atKey) => locate(document, lines, path, atKey) }
  } catch (error) {
    // Aliases that multiply, an anchor that does not exist, nesting deeper than the stack.
    return [syntaxFault(error instanceof Error ? error.message : String(error), undefined)]
  }
}

/** One value as YAML reads it (`8080`, `true`, `[a, b]`), or what is wrong with it. */
export function readValue(text: string): { readonly value: unknown } | { readonly fault: string } {
  const result = readDocument(text)
  if ('tree' in result) return { value: result.tree }
  return { fault: result[0]?.found ?? 'not YAML' }
}

function syntaxFault(message: string, position: Position | undefined): SyntaxFault {
  return { path: [], found: message.replace(/[\s\p{Cc}]+/gu, ' '), allowed: 'YAML 1.2', position }
}

/** A parser that has lost its way complains about the rest of the line, too. */
function firstOfEachLine(faults: readonly SyntaxFault[]): readonly SyntaxFault[] {
  return faults.filter(
    ({ position }, index) => faults.findIndex((other) => other.position?.line === position?.line) === index,
  )
}

/** Copies into objects of our own; `Object.fromEntries` defines keys, so that `__proto__` is a key like any other. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => (item === null ? null : withoutNulls(item)))
  if (value === null) return undefined
  if (typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutNulls(item)]))
}

function locate(document: Document, lines: LineCounter, path: KeyPath, atKey: boolean): Position | undefined {
  let node: unknown = document.contents
  let offset = isNode(node) ? node.range?.[0] : undefined
  for (const [depth, part] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document)
    const wantsKey = atKey && depth === path.length - 1
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && key.value === part)
      if (pair === undefined) break
      const key = isScalar(pair.key) ? pair.key.range?.[0] : undefined
      const value = isNode(pair.value) ? pair.value.range?.[0] : undefined
      offset = (wantsKey ? key : (value ?? key)) ?? offset
      node = pair.value
    } else if (isSeq(node) && typeof part === 'number') {
      node = node.items[part]
      if (!isNode(node)) break
      offset = node.range?.[0] ?? offset
    } else break
  }
  return offset === undefined ? undefined : positionAt(lines, offset)
}

function positionAt(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset)
  return { line: Math.max(line, 1), column: Math.max(col, 1) }
}
