import { GatewayError, type ErrorCode } from '../broker/contract/errors.js'

/** Way to a value: keys of sections and indices of lists. */
export type KeyPath = readonly (string | number)[]

/** Something wrong with settings, before it is known where the value was written. */
export interface Fault {
  readonly path: KeyPath
  /** What is there, as a phrase. */
  readonly found: string
  /** What may be there, as a phrase. */
  readonly allowed: string
  /** Whether the key itself is wrong, not its value: decides which of the two is pointed at. */
  readonly atKey?: boolean
}

/** A fault with its place, ready to be shown. */
export interface Problem {
  /** `listeners[1].port`; empty for the document as a whole. */
  readonly path: string
  readonly found: string
  readonly allowed: string
  /** Where it was written: `config/gateway.yaml:7:11`, `--set listeners[1].port=x`, or the file alone. */
  readonly where: string
}

/** Settings that cannot be used, with everything that is wrong with them. */
export class SettingsError extends GatewayError {
  constructor(
    code: ErrorCode,
    readonly problems: readonly Problem[],
  ) {
    super(code, problems.map(problemText).join('\n'))
  }
}

export function problemText(problem: Problem): string {
  const subject = problem.path === '' ? '' : `${problem.path}: `
  return `${subject}found ${problem.found}; allowed: ${problem.allowed} (${problem.where})`
}

/** `listeners[1].port`; keys that are no plain word are quoted. */
export function formatPath(path: KeyPath): string {
  let text = ''
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`
    else if (/^[\w-]+$/.test(part)) text += text === '' ? part : `.${part}`
    else text += `[${quote(part)}]`
  }
  return text
}

/**
 * A value as a phrase: short, on one line, without control characters, and without the user information of a URL,
 * which is where passwords stand.
 */
export function showValue(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'an empty value'
  if (typeof value === 'string') return quote(value.replace(/\/\/[^/@\s]*@/g, '//***@'))
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`
  if (typeof value === 'object') return 'a section with keys'
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : typeof value
}

const LONGEST_SHOWN = 60

function quote(text: string): string {
  const cut = text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}...` : text
  // JSON leaves DEL and the C1 controls as they are; a terminal would obey them.
  return JSON.stringify(cut).replace(
    /[\p{Cc}\u2028\u2029]/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
