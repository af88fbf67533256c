import type { Captures } from '../../broker/contract/connector.js'
import { topicFilterFault } from '../../broker/contract/topic.js'

/** Topics seen lately, with what they hold: devices publish to the same topics over and over. */
const REMEMBERED_TOPICS = 10_000
const ANY_TOPIC = { maxLevels: 100, maxBytes: 65_535 }
const NAME = '[A-Za-z_][A-Za-z0-9_]*'
const ONE_LEVEL = new RegExp(`^\\{(${NAME})\\}$`)
const THE_REST = new RegExp(`^\\{(${NAME})\\.\\.\\.\\}$`)

/** `window` is what a window adds to the captures. */
const RESERVED = new Set(['window'])

/**
 * A topic filter whose wildcards have names: `sensors/{site}/{room}/{device}/{metric}`. `{name}` stands for one level,
 * `{name...}` at the end for one or more. `+` and, at the end, `#` match without a name.
 */
export class TopicPattern {
  /** As a broker understands it. */
  readonly filter: string
  /** Names of the captures, in order. */
  readonly names: readonly string[]

  private readonly levels: readonly Level[]
  private readonly remembered = new Map<string, Captures | undefined>()

  /** The pattern has to be sound (`patternFault`). */
  constructor(readonly text: string) {
    this.levels = text.split('/').map(levelOf)
    this.filter = this.levels.map(filterLevel).join('/')
    this.names = this.levels.flatMap(({ name }) => (name === undefined ? [] : [name]))
  }

  /** What the topic holds at the names; undefined when it does not fit. The result is shared: do not change it. */
  match(topic: string): Captures | undefined {
    const known = this.remembered.get(topic)
    if (known !== undefined || this.remembered.has(topic)) return known
    if (this.remembered.size >= REMEMBERED_TOPICS) this.remembered.clear()
    const captures = this.capture(topic)
    this.remembered.set(topic, captures)
    return captures
  }

  private capture(topic: string): Captures | undefined {
    const found: [string, string][] = []
    const parts = topic.split('/')
    for (const [index, level] of this.levels.entries()) {
      const part = parts[index]
      // `a/#` matches `a` as well (4.7.1.2); a name has to stand for something.
      if (part === undefined)
        return level.kind === 'rest' && level.name === undefined ? fromEntries(found) : undefined
      if (level.kind === 'rest') {
        if (level.name !== undefined) found.push([level.name, parts.slice(index).join('/')])
        return fromEntries(found)
      }
      if (level.kind === 'literal' && level.text !== part) return undefined
      if (level.name !== undefined) found.push([level.name, part])
    }
    return parts.length === this.levels.length ? fromEntries(found) : undefined
  }
}

/** What is wrong with the text of a pattern, as a phrase that says what is allowed; undefined: nothing. */
export function patternFault(text: string): string | undefined {
  if (text.startsWith('$share/'))
    return 'a topic without `$share/`: a window that saw only a share of the readings would be wrong'
  const levels = text.split('/')
  const names: string[] = []
  for (const [index, level] of levels.entries()) {
    const { kind, name, text: literal } = levelOf(level)
    if (kind === 'literal' && /[{}]/.test(literal))
      return 'whole levels in braces: `{name}` for one level, `{name...}` at the end for the rest'
    if (kind === 'rest' && index < levels.length - 1) return '`#` and `{name...}` at the end only'
    if (name === undefined) continue
    if (RESERVED.has(name)) return 'another name than `{window}`, which is the length of a window'
    if (names.includes(name)) return `each name once; \`{${name}}\` is there twice`
    names.push(name)
  }
  const fault = topicFilterFault(levels.map((level) => filterLevel(levelOf(level))).join('/'), ANY_TOPIC)
  return fault === undefined ? undefined : `a valid topic filter with names (this one: ${fault})`
}

interface Level {
  readonly kind: 'literal' | 'one' | 'rest'
  readonly name: string | undefined
  readonly text: string
}

function levelOf(text: string): Level {
  const one = ONE_LEVEL.exec(text)?.[1]
  if (one !== undefined || text === '+') return { kind: 'one', name: one, text }
  const rest = THE_REST.exec(text)?.[1]
  if (rest !== undefined || text === '#') return { kind: 'rest', name: rest, text }
  return { kind: 'literal', name: undefined, text }
}

function filterLevel({ kind, text }: Level): string {
  return kind === 'literal' ? text : kind === 'one' ? '+' : '#'
}

function fromEntries(entries: readonly (readonly [string, string])[]): Captures {
  return Object.fromEntries(entries)
}
