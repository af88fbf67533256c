import { Rejected, type Captures } from '../../broker/contract/connector.js'
import { topicNameFault } from '../../broker/contract/topic.js'

const ANY_TOPIC = { maxLevels: 100, maxBytes: 65_535 }
const PLACEHOLDER = /\{([^{}]*)\}/g

/** A topic name with captures to fill in: `feeds/{site}/{room}/{metric}/{window}`. */
export class TopicTemplate {
  /** A topic filter for what the template gives: each level with a name becomes `+`. */
  readonly filter: string
  private readonly parts: readonly string[]

  /** The template has to be sound (`templateFault`). */
  constructor(readonly text: string) {
    // Odd positions are names.
    this.parts = text.split(PLACEHOLDER)
    const levels = text.split('/')
    this.filter = levels.map((level) => (level.includes('{') ? '+' : level)).join('/')
  }

  /** Throws `Rejected` when what was captured does not make a topic name. */
  render(captures: Captures): string {
    let topic = ''
    for (const [index, part] of this.parts.entries()) topic += index % 2 === 0 ? part : (captures[part] ?? '')
    const fault = topicNameFault(topic, ANY_TOPIC)
    if (fault !== undefined) throw new Rejected('bad_topic', `the topic of the result is invalid: ${fault}`)
    return topic
  }
}

/** What is wrong with the text of a template, as a phrase that says what is allowed; undefined: nothing. */
export function templateFault(text: string, captures: readonly string[]): string | undefined {
  const listed = captures.map((name) => `\`{${name}}\``).join(', ')
  for (const [, name = ''] of text.matchAll(PLACEHOLDER))
    if (!captures.includes(name))
      return captures.length === 0 ? 'a topic without `{names}`: nothing is captured' : `the names ${listed}`
  const filled = text.replaceAll(PLACEHOLDER, 'x')
  if (/[{}]/.test(filled)) return `braces in pairs, around one of ${listed}`
  if (filled.startsWith('$')) return "a topic that does not begin with `$`, which is the broker's own"
  const fault = topicNameFault(filled, ANY_TOPIC)
  return fault === undefined ? undefined : `a valid topic name with names in braces (this one: ${fault})`
}
