import { describe, expect, it } from 'vitest'
import type { AuthDecision, Authenticator, Credentials } from '../contract/principal.js'
import { AuthenticatorChain, MAX_CREDENTIAL_LENGTH, type AuthenticationOptions } from './authentication.js'
import { DecisionSlots } from './decision-slots.js'
import { ManualClock } from '../contract/testing/manual-clock.js'
import { credentials, RecordedEvents, settled } from './testing.js'

function setUp(authenticators: Authenticator[], options: Partial<AuthenticationOptions> = {}) {
  const clock = new ManualClock()
  const events = new RecordedEvents()
  const chain = new AuthenticatorChain({
    anonymous: 'never',
    authenticators: authenticators.map((authenticator) => ({ authenticator, timeoutMs: 5_000 })),
    clock,
    events,
    slots: new DecisionSlots(),
    ...options,
  })
  return { clock, events, chain }
}

function member(
  name: string,
  authenticate: (credentials: Credentials, signal: AbortSignal) => Promise<AuthDecision>,
): Authenticator {
  return { name, authenticate }
}

const granted = (name: string): AuthDecision => ({
  kind: 'granted',
  principal: { username: name, roles: [], claims: {}, expiresAt: undefined, grantedBy: name },
})
const notMine = member('not-mine', () => Promise.resolve({ kind: 'not-mine' }))
const password = Buffer.from('secret')

describe('the chain', () => {
  it('asks in order and stops at the first that decides', async () => {
    const asked: string[] = []
    const members = ['a', 'b', 'c'].map((name) =>
      member(name, () => {
        asked.push(name)
        return Promise.resolve(name === 'a' ? { kind: 'not-mine' } : granted(name))
      }),
    )
    expect(await setUp(members).chain.decide(credentials({ password }))).toEqual(granted('b'))
    expect(asked).toEqual(['a', 'b'])
  })

  it('ends with a refusal: no later member can turn it round', async () => {
    const refuses = member('a', () => Promise.resolve({ kind: 'refused', reason: 'token_expired' }))
    const { chain } = setUp([refuses, member('b', () => Promise.resolve(granted('b')))], {
      anonymous: 'always',
    })
    expect(await chain.decide(credentials())).toEqual({ kind: 'refused', reason: 'token_expired' })
  })

  it.each([
    ['rejects', () => Promise.reject(new Error('database away'))],
    [
      'throws',
      () => {
        throw new Error('database away')
      },
    ],
  ])('refuses when a member %s, and does not ask the next one', async (_, authenticate) => {
    const { chain, events } = setUp(
      [member('db', authenticate), member('b', () => Promise.resolve(granted('b')))],
      {
        anonymous: 'always',
      },
    )
    expect(await chain.decide(credentials())).toEqual({ kind: 'refused', reason: 'authenticator_failed' })
    expect(events.lines).toEqual(['failed db: database away'])
  })

  it('refuses when a member does not answer in time, tells it to stop, and ignores what it says later', async () => {
    let signal: AbortSignal | undefined
    let answer: (decision: AuthDecision) => void = () => {}
    const hangs = member('ldap', (_, given) => {
      signal = given
      return new Promise((resolve) => {
        answer = resolve
      })
    })
    const { chain, clock, events } = setUp([hangs])
    const decision = chain.decide(credentials({ password }))
    await settled()
    clock.advance(4_999)
    expect(signal?.aborted).toBe(false)
    clock.advance(1)
    expect(signal?.aborted).toBe(true)
    answer(granted('late'))
    expect(await decision).toEqual({ kind: 'refused', reason: 'authenticator_timeout' })
    expect(events.lines).toEqual(['failed ldap: no decision within 5000 ms'])
  })

  it('survives a member that rejects after its time', async () => {
    const rejects = member('ldap', (_, signal) => {
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))))
    })
    const { chain, clock } = setUp([rejects])
    const decision = chain.decide(credentials({ password }))
    await settled()
    clock.advance(5_000)
    expect(await decision).toEqual({ kind: 'refused', reason: 'authenticator_timeout' })
  })

  it('leaves no timer behind', async () => {
    const { chain, clock } = setUp([notMine, member('b', () => Promise.resolve(granted('b')))])
    await chain.decide(credentials({ password }))
    expect(clock.pendingTimers).toBe(0)
  })
})

describe('clients that nobody claims', () => {
  const shows = {
    nothing: credentials(),
    'nothing, from this machine': credentials({ loopback: true }),
    'empty fields, from this machine': credentials({
      loopback: true,
      username: '',
      password: Buffer.alloc(0),
    }),
    'a user name': credentials({ username: 'ann' }),
    'a user name, from this machine': credentials({ loopback: true, username: 'ann' }),
    'a password, from this machine': credentials({ loopback: true, username: 'ann', password }),
    'a token, from this machine': credentials({ loopback: true, bearerToken: 'x' }),
    'a certificate, from this machine': credentials({ loopback: true, certificateName: 'ann' }),
  }
  const outcome = {
    never: [false, false, false, false, false, false, false, false],
    loopback: [false, true, true, false, false, false, false, true],
    always: [true, true, true, true, true, false, false, true],
  }

  describe.each(['never', 'loopback', 'always'] as const)('anonymous: %s', (anonymous) => {
    it.each(Object.keys(shows).map((name, index) => [name, outcome[anonymous][index]]))(
      'one that shows %s: %s',
      async (name, expected) => {
        for (const members of [[], [notMine]]) {
          const { chain } = setUp(members, { anonymous })
          const decision = await chain.decide(shows[name as keyof typeof shows])
          expect(decision.kind).toBe(expected === true ? 'granted' : 'refused')
          if (decision.kind === 'granted') expect(decision.principal.username).toBeUndefined()
        }
      },
    )
  })

  it('are told apart in the log: nothing shown, or something wrong', async () => {
    const { chain } = setUp([notMine])
    expect(await chain.decide(credentials())).toEqual({ kind: 'refused', reason: 'no_credentials' })
    expect(await chain.decide(credentials({ password }))).toEqual({
      kind: 'refused',
      reason: 'bad_credentials',
    })
  })
})

describe('bounds', () => {
  it('turns away who comes when so many decide and so many wait, and lets the others through in order', async () => {
    const answers: (() => void)[] = []
    const order: string[] = []
    const slow = member('slow', ({ clientId }) => {
      order.push(clientId)
      return new Promise((resolve) => answers.push(() => resolve(granted(clientId))))
    })
    const { chain } = setUp([slow], { slots: new DecisionSlots({ concurrent: 2, waiting: 2 }) })
    const decisions = ['1', '2', '3', '4', '5'].map((clientId) => chain.decide(credentials({ clientId })))
    expect(await decisions[4]).toEqual({ kind: 'refused', reason: 'server_busy' })
    for (let i = 0; i < 4; i++) {
      await settled()
      expect(answers.length).toBe(Math.min(i + 2, 4))
      answers[i]?.()
    }
    expect((await Promise.all(decisions.slice(0, 4))).map(({ kind }) => kind)).toEqual(
      Array(4).fill('granted'),
    )
    expect(order).toEqual(['1', '2', '3', '4'])
  })

  it('turns away who waits when it is closed', async () => {
    const slots = new DecisionSlots({ concurrent: 1, waiting: 2 })
    const hangs = member('hangs', () => new Promise(() => {}))
    const { chain, clock } = setUp([hangs], { slots })
    const first = chain.decide(credentials())
    const second = chain.decide(credentials())
    slots.close()
    expect(await second).toEqual({ kind: 'refused', reason: 'server_busy' })
    expect(await chain.decide(credentials())).toEqual({ kind: 'refused', reason: 'server_busy' })
    clock.advance(5_000)
    expect(await first).toEqual({ kind: 'refused', reason: 'authenticator_timeout' })
  })

  it('shows no authenticator a secret that is too long', async () => {
    const asked: number[] = []
    const { chain } = setUp([
      member('a', ({ password }) => {
        asked.push(password?.length ?? 0)
        return Promise.resolve({ kind: 'not-mine' })
      }),
    ])
    await chain.decide(credentials({ password: Buffer.alloc(MAX_CREDENTIAL_LENGTH, 'x') }))
    await chain.decide(credentials({ password: Buffer.alloc(MAX_CREDENTIAL_LENGTH + 1, 'x') }))
    await chain.decide(credentials({ bearerToken: 'x'.repeat(MAX_CREDENTIAL_LENGTH + 1) }))
    expect(asked).toEqual([MAX_CREDENTIAL_LENGTH])
  })
})
