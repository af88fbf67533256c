import type { Evidence } from './evidence.js'
import { statements, type Statement } from './statements.js'

/** Titles listed for one statement and file; tests over a table of cases have hundreds. */
const TITLES = 3

const OLDER = '3.1.1/'

/** By the beginning of the identifiers. */
const chapters: readonly (readonly [prefix: string, name: string])[] = [
  ['1.', 'Data representation'],
  ['2.', 'Packet format'],
  ['3.1.', 'CONNECT'],
  ['3.2.', 'CONNACK'],
  ['3.3.', 'PUBLISH'],
  ['3.4.', 'PUBACK'],
  ['3.5.', 'PUBREC'],
  ['3.6.', 'PUBREL'],
  ['3.7.', 'PUBCOMP'],
  ['3.8.', 'SUBSCRIBE'],
  ['3.9.', 'SUBACK'],
  ['3.10.', 'UNSUBSCRIBE'],
  ['3.11.', 'UNSUBACK'],
  ['3.12.', 'PINGREQ'],
  ['3.14.', 'DISCONNECT'],
  ['3.15.', 'AUTH'],
  ['4.', 'Operational behaviour'],
  ['6.', 'WebSocket'],
]

/** `docs/conformance.md`: each normative statement, and the tests that show it. */
export function conformancePage(evidence: ReadonlyMap<string, readonly Evidence[]>): string {
  return [
    head(evidence),
    ...chapters.map(([prefix, name]) => chapter(prefix, name, evidence)),
    older(evidence),
    differences,
    paho,
  ].join('\n\n')
}

function head(evidence: ReadonlyMap<string, readonly Evidence[]>): string {
  const state = (statement: Statement) => stateOf(statement, evidence.get(statement.id) ?? [])
  const count = (wanted: State) => statements.filter((statement) => state(statement) === wanted).length
  const tests = new Set([...evidence.values()].flat())
  return `# Conformance

What MQTT demands of a server, and the tests that show that the gateway does it. Written by
\`npm run docs:conformance\` from a run of the tests, which name the statements in their titles; what a statement
demands is said in short, the specification has the exact words.

| MQTT 5.0 | statements |
|---|---|
| all | ${statements.length} |
| shown by tests that pass | ${count('shown')} |
| a test fails | ${count('failed')} |
| up to clients alone | ${count('client')} |
| gaps: no test | ${count('gap')} |

${tests.size} tests name a statement of MQTT 5.0 or 3.1.1. A statement that binds clients is listed as shown where the
gateway holds them to it.`
}

type State = 'shown' | 'failed' | 'client' | 'gap'

function stateOf({ untested }: Statement, tests: readonly Evidence[]): State {
  if (tests.some(({ passed }) => !passed)) return 'failed'
  if (tests.length > 0) return 'shown'
  return untested === undefined ? 'gap' : 'client'
}

function chapter(prefix: string, name: string, evidence: ReadonlyMap<string, readonly Evidence[]>): string {
  const rows = statements
    .filter(({ id }) => id.startsWith(prefix))
    .map((statement) => {
      const tests = evidence.get(statement.id) ?? []
      return row(statement.id, statement.demand, tests, stateOf(statement, tests), statement.untested)
    })
  return `## ${name}\n\n| statement | demands | shown by | result |\n|---|---|---|---|\n${rows.join('\n')}`
}

function row(
  id: string,
  demand: string,
  tests: readonly Evidence[],
  state: State,
  untested: string | undefined,
): string {
  const results: Record<State, string> = {
    shown: 'pass',
    failed: '**fail**',
    client: 'client',
    gap: '**gap**',
  }
  const shownBy = tests.length > 0 ? listed(tests) : (untested ?? '')
  return `| ${id} | ${cell(demand)} | ${shownBy} | ${results[state]} |`
}

function listed(tests: readonly Evidence[]): string {
  const byFile = new Map<string, string[]>()
  for (const { file, title } of tests) byFile.set(file, [...(byFile.get(file) ?? []), title])
  return [...byFile]
    .map(([file, titles]) => {
      const more = titles.length > TITLES ? `; and ${titles.length - TITLES} more` : ''
      return `[${file}](../${file}): ${titles.slice(0, TITLES).map(cell).join('; ')}${more}`
    })
    .join('<br>')
}

/** Text within a table: no cell ends early, and nothing in a test's name is taken for markup. */
function cell(text: string): string {
  return text.replaceAll(/[\\|<>*_`[\]{}#$~]/g, (mark) => `&#${mark.charCodeAt(0)};`)
}

function older(evidence: ReadonlyMap<string, readonly Evidence[]>): string {
  const ids = [...evidence.keys()].filter((id) => id.startsWith(OLDER))
  const numbers = (id: string) => id.slice(OLDER.length).split(/[.-]/).map(Number)
  ids.sort((a, b) => {
    const [left, right] = [numbers(a), numbers(b)]
    const at = left.findIndex((number, i) => number !== right[i])
    return (left[at] ?? 0) - (right[at] ?? 0)
  })
  const rows = ids.map((id) => {
    const tests = evidence.get(id) ?? []
    const result = tests.every(({ passed }) => passed) ? 'pass' : '**fail**'
    return `| ${id.slice(OLDER.length)} | ${listed(tests)} | ${result} |`
  })
  return `## MQTT 3.1.1\n\nThe statements of MQTT 3.1.1 that tests name. Most of the others say what MQTT 5.0 says too, of code that both
share.\n\n| statement | shown by | result |\n|---|---|---|\n${rows.join('\n')}`
}

const differences = `## How MQTT 3.1.1 and 3.1 differ here

| | MQTT 5.0 | MQTT 3.1.1 | MQTT 3.1 |
|---|---|---|---|
| protocol name and level | \`MQTT\`, 5 | \`MQTT\`, 4 | \`MQIsdp\`, 3 |
| another level | CONNACK 0x84 (levels above 5) | CONNACK 1 (levels below 4) | CONNACK 1 |
| malformed CONNECT | CONNACK with the reason code | closed without CONNACK | closed without CONNACK |
| refused CONNECT | CONNACK with the reason code | return code 1 to 5 where one fits, else closed | as 3.1.1 |
| empty client identifier | assigned and told | assigned with Clean Session 1, else return code 2 | return code 2 |
| length of the client identifier | \`limits.clientIdBytes\` | \`limits.clientIdBytes\` | the same; 23 characters with \`limits.strictClientIds\` |
| Session Present in CONNACK | yes | yes | always 0 |
| session after the connection | Session Expiry Interval | Clean Session 0: as long as \`limits.sessionExpiryMaximumSeconds\` | as 3.1.1 |
| \`limits.keepAliveMaximumSeconds\` | Server Keep Alive | the client's value holds: it cannot be told another | as 3.1.1 |
| more publishes under way than \`limits.receiveMaximum\` | DISCONNECT 0x93 | not read until there is room | as 3.1.1 |
| PUBLISH that is denied | PUBACK or PUBREC 0x87 | acknowledged, counted and dropped | as 3.1.1 |
| PUBLISH that cannot be stored | PUBACK or PUBREC 0x80 or 0x97 | closed without acknowledgement: the client sends it again | as 3.1.1 |
| SUBSCRIBE that is refused | SUBACK with the reason code | SUBACK 0x80 | SUBACK 0x80 |
| UNSUBACK | a code for each filter | without codes | without codes |
| end of a connection by the gateway | DISCONNECT with the reason, then closed | closed | closed |
| Remaining Length in more bytes than needed | malformed | let through | let through |
| user name or password flag without its field | malformed | malformed | let through |
| password without user name | allowed | malformed | malformed |
| \`$share/group/filter\` | shared subscription | shared subscription | shared subscription |`

const paho = `## The Eclipse Paho interoperability suite

Over TCP and over WebSocket, with \`limits.keepAliveMaximumSeconds: 60\` and a rule that denies subscribing to
\`test/nosubscribe\`: 11 of 11 tests of MQTT 3.1.1 pass, and 26 of 27 of MQTT 5.0. Where the suite expects something else
than the specification:

- \`test_flow_control2\` hangs on every broker, the suite's own included.
- Its decoder takes 0x80 as the only failure in a SUBACK; table 3-8 of the specification has more. It was told the others.
- \`test_subscribe_failure\` wants exactly 0x80 for a subscription that is denied; the gateway answers 0x87 Not authorized,
  which is what table 3-8 has for it.
- \`test_server_keep_alive\` asks for 120 seconds and wants 60: that is a server with such a maximum, not a rule.
`
