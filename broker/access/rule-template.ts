import { GatewayError } from '../contract/errors.js'
import type { Principal } from '../contract/principal.js'
import { parseFilter } from '../contract/topic.js'

/**
 * A topic filter of an access rule, with places that the identity of a client fills: `${clientId}`, `${username}`,
 * `${role}` and `${claims.name}`.
 */
export interface RuleTemplate {
  /** Literal text and places in turn. */
  readonly parts: readonly (string | Place)[]
  /** Whether there is one filter for each role of a client. */
  readonly forEachRole: boolean
}

type Place =
  { readonly kind: 'clientId' | 'username' | 'role' } | { readonly kind: 'claim'; readonly name: string }

/** @throws GatewayError CONFIG_INVALID when the text is no filter or has an unknown placeholder. */
export function parseRuleTemplate(text: string): RuleTemplate {
  const parts: (string | Place)[] = []
  let end = 0
  for (const match of text.matchAll(/\$\{([^}]*)\}/g)) {
    const place = placeOf(match[1] ?? '')
    if (place === undefined) throw invalid(text, `unknown placeholder ${match[0]}`)
    parts.push(text.slice(end, match.index), place)
    end = match.index + match[0].length
  }
  parts.push(text.slice(end))

  // A place stands for text without wildcards and slashes, so any letter shows whether the rest is a filter.
  const parsed = parseFilter(
    parts.map((part) => (typeof part === 'string' ? part : 'x')).join(''),
    TEMPLATE_LIMITS,
  )
  if (typeof parsed === 'string') throw invalid(text, parsed)
  if (parsed.share !== undefined) throw invalid(text, 'rules are about the filter behind $share/name/')
  return {
    parts: parts.filter((part) => part !== ''),
    forEachRole: parts.some((part) => typeof part !== 'string' && part.kind === 'role'),
  }
}

export function isLiteral(template: RuleTemplate): boolean {
  return template.parts.every((part) => typeof part === 'string')
}

/**
 * The filter of an allow rule for this client, or undefined when a place cannot be filled. Text that would change
 * what the rule is about fills no place: none at all, the empty text, text with `+`, `#`, `/` or U+0000, and a
 * leading `$` at the start of the filter (a client that calls itself `$SYS` gets nothing of `$SYS/` from
 * `${clientId}/#`).
 */
export function fillForAllow(template: RuleTemplate, identity: Identity): string | undefined {
  const filled = fill(template, identity)
  if (filled.includes(UNFILLED)) return undefined
  return filled.startsWith('$') && typeof template.parts[0] !== 'string' ? undefined : filled
}

/**
 * The filter of a deny rule for this client. A level with a place that cannot be filled becomes `+`: whose topic it
 * is about is unknown, so it is about everybody's. Otherwise a client could leave a rule behind by its choice of
 * client identifier.
 */
export function fillForDeny(template: RuleTemplate, identity: Identity): string {
  const filled = fill(template, identity)
  if (!filled.includes(UNFILLED)) return filled
  const levels = filled.split('/')
  return levels.map((level) => (level.includes(UNFILLED) ? '+' : level)).join('/')
}

export interface Identity {
  readonly clientId: string
  readonly principal: Principal
  /** The one that `${role}` stands for. */
  readonly role: string | undefined
}

/** U+0000 is in no topic filter [MQTT-4.7.3-2]. */
const UNFILLED = '\0'
const TEMPLATE_LIMITS = { maxLevels: 100, maxBytes: 65_535 }

/** A rule that cannot be read must not be passed over: it may be the one that denies. */
function invalid(text: string, fault: string): GatewayError {
  return new GatewayError('CONFIG_INVALID', `access rule for ${JSON.stringify(text)}: ${fault}`)
}

function placeOf(name: string): Place | undefined {
  if (name === 'clientId' || name === 'username' || name === 'role') return { kind: name }
  const claim = /^claims\.(.+)$/s.exec(name)?.[1]
  return claim === undefined ? undefined : { kind: 'claim', name: claim }
}

function fill(template: RuleTemplate, identity: Identity): string {
  return template.parts.map((part) => (typeof part === 'string' ? part : valueOf(part, identity))).join('')
}

function valueOf(place: Place, { clientId, principal, role }: Identity): string {
  switch (place.kind) {
    case 'clientId':
      return safe(clientId)
    case 'username':
      return safe(principal.username)
    case 'role':
      return safe(role)
    case 'claim':
      // Own members only: `claims.constructor` is nobody's claim.
      return safe(Object.hasOwn(principal.claims, place.name) ? principal.claims[place.name] : undefined)
  }
}

function safe(value: string | number | undefined): string {
  const text = value === undefined ? '' : String(value)
  return text === '' || /[+#/]/.test(text) ? UNFILLED : text
}
