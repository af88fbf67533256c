import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AccessRuleConfig } from '../../config/schema.js'
import { GatewayError } from '../contract/errors.js'
import type { Principal } from '../contract/principal.js'
import { filterMatches } from '../contract/topic.js'
import { compileAccessPolicy } from './policy.js'

function principal(fields: Partial<Principal> = {}): Principal {
  return { username: 'ann', roles: [], claims: {}, expiresAt: undefined, grantedBy: 'jwt', ...fields }
}

function policyFor(rules: AccessRuleConfig[] | undefined, who: Partial<Principal> = {}, clientId = 'c1') {
  return compileAccessPolicy(rules).forPrincipal(principal(who), clientId)
}

describe('without rules', () => {
  const policy = policyFor(undefined)

  it('allows everything but topics that begin with $', () => {
    expect(policy.mayPublish('a/b')).toBe(true)
    expect(policy.mayPublish('a/$b')).toBe(true)
    expect(policy.mayPublish('$SYS/x')).toBe(false)
    expect(policy.mayReceive('$SYS/x')).toBe(false)
    expect(policy.maySubscribe('$SYS/#')).toBe('denied')
    expect(policy.maySubscribe('#')).toBe('allowed')
    expect(policy.maySubscribe('+/x')).toBe('allowed')
  })
})

describe('rules', () => {
  it('deny what no rule allows', () => {
    const policy = policyFor([])
    expect(policy.mayPublish('a')).toBe(false)
    expect(policy.maySubscribe('a')).toBe('denied')
    expect(policy.mayReceive('a')).toBe(false)
  })

  it('deny before they allow, whatever their order', () => {
    const rules: AccessRuleConfig[] = [
      { allow: 'both', topics: ['#'] },
      { deny: 'publish', topics: ['secret/#'] },
    ]
    for (const policy of [policyFor(rules), policyFor(rules.toReversed())]) {
      expect(policy.mayPublish('secret')).toBe(false)
      expect(policy.mayPublish('secret/x')).toBe(false)
      expect(policy.mayPublish('open')).toBe(true)
      expect(policy.maySubscribe('secret/x')).toBe('allowed')
    }
  })

  it('tell publish and subscribe apart', () => {
    const policy = policyFor([
      { allow: 'publish', topics: ['up'] },
      { allow: 'subscribe', topics: ['down'] },
    ])
    expect([policy.mayPublish('up'), policy.maySubscribe('up'), policy.mayReceive('up')]).toEqual([
      true,
      'denied',
      false,
    ])
    expect([policy.mayPublish('down'), policy.maySubscribe('down'), policy.mayReceive('down')]).toEqual([
      false,
      'allowed',
      true,
    ])
  })

  it('refuse a filter that reaches beyond what is allowed', () => {
    const policy = policyFor([{ allow: 'subscribe', topics: ['feeds/+/x', 'a/#'] }])
    expect(policy.maySubscribe('feeds/1/x')).toBe('allowed')
    expect(policy.maySubscribe('feeds/+/x')).toBe('allowed')
    expect(policy.maySubscribe('feeds/+/+')).toBe('denied')
    expect(policy.maySubscribe('feeds/#')).toBe('denied')
    expect(policy.maySubscribe('#')).toBe('denied')
    expect(policy.maySubscribe('a')).toBe('allowed')
    expect(policy.maySubscribe('a/b/#')).toBe('allowed')
  })

  it('grant a filter in part when a deny rule lies within it', () => {
    const policy = policyFor([
      { allow: 'both', topics: ['#'] },
      { deny: 'subscribe', topics: ['test/nosubscribe', 'private/+/key'] },
    ])
    expect(policy.maySubscribe('test/nosubscribe')).toBe('denied')
    expect(policy.maySubscribe('private/+/key')).toBe('denied')
    expect(policy.maySubscribe('private/7/key')).toBe('denied')
    expect(policy.maySubscribe('test/+')).toBe('allowed-in-part')
    expect(policy.maySubscribe('#')).toBe('allowed-in-part')
    expect(policy.maySubscribe('+/7/#')).toBe('allowed-in-part')
    expect(policy.maySubscribe('open/#')).toBe('allowed')
    expect(policy.mayReceive('test/nosubscribe')).toBe(false)
    expect(policy.mayReceive('test/other')).toBe(true)
  })

  it('reach topics that begin with $ only by name [MQTT-4.7.2-1]', () => {
    const all = policyFor([{ allow: 'both', topics: ['#'] }])
    expect(all.mayPublish('$SYS/x')).toBe(false)
    expect(all.maySubscribe('$SYS/#')).toBe('denied')
    const named = policyFor([{ allow: 'subscribe', topics: ['#', '$SYS/#'] }])
    expect(named.maySubscribe('$SYS/#')).toBe('allowed')
    expect(named.maySubscribe('#')).toBe('allowed')
  })

  it('with roles are for clients that have one of them', () => {
    const rules: AccessRuleConfig[] = [
      { allow: 'both', topics: ['#'], roles: ['admin', 'operator'] },
      { allow: 'subscribe', topics: ['feeds/#'] },
      { deny: 'both', topics: ['lab/#'], roles: ['guest'] },
    ]
    expect(policyFor(rules, { roles: ['operator'] }).mayPublish('lab/x')).toBe(true)
    expect(policyFor(rules, { roles: ['operator', 'guest'] }).mayPublish('lab/x')).toBe(false)
    expect(policyFor(rules, { roles: ['user'] }).mayPublish('x')).toBe(false)
    expect(policyFor(rules, { roles: ['user'] }).maySubscribe('feeds/x')).toBe('allowed')
  })
})

describe('placeholders', () => {
  it('stand for the identity of the client', () => {
    const policy = policyFor(
      [{ allow: 'both', topics: ['d/${clientId}/#', 'u/${username}', 't/${claims.tenant}-${claims.n}/+'] }],
      { claims: { tenant: 'acme', n: 7 } },
    )
    expect(policy.mayPublish('d/c1/x')).toBe(true)
    expect(policy.mayPublish('d/c2/x')).toBe(false)
    expect(policy.mayPublish('u/ann')).toBe(true)
    expect(policy.mayPublish('t/acme-7/x')).toBe(true)
    expect(policy.maySubscribe('t/acme-7/+')).toBe('allowed')
    expect(policy.maySubscribe('t/+/+')).toBe('denied')
  })

  it('${role} stands for each role that the rule is for', () => {
    const rules: AccessRuleConfig[] = [{ allow: 'both', topics: ['team/${role}/${role}'] }]
    const policy = policyFor(rules, { roles: ['red', 'blue'] })
    expect(policy.mayPublish('team/red/red')).toBe(true)
    expect(policy.mayPublish('team/blue/blue')).toBe(true)
    expect(policy.mayPublish('team/red/blue')).toBe(false)
    expect(policyFor(rules).mayPublish('team/red/red')).toBe(false)
    const narrowed = policyFor([{ allow: 'both', topics: ['team/${role}'], roles: ['red'] }], {
      roles: ['red', 'blue'],
    })
    expect([narrowed.mayPublish('team/red'), narrowed.mayPublish('team/blue')]).toEqual([true, false])
  })

  it.each(['+', '#', 'a/b', 'a+', '', '\0', 'a\0b', '/'])(
    '%j as client identifier widens no allow rule',
    (id) => {
      const policy = policyFor(
        [{ allow: 'both', topics: ['d/${clientId}/#', '${clientId}/#', 'x-${clientId}'] }],
        {},
        id,
      )
      for (const topic of ['d/x', 'd/a/b', 'd', 'a/b', 'x', 'd//x', '/x', 'x-', `d/${id}/x`, `${id}/x`])
        expect([topic, policy.mayPublish(topic)]).toEqual([topic, false])
      for (const filter of ['#', 'd/#', 'd/+/#', '+/#', 'd/a/b/#', `d/${id}/#`, `${id}/#`])
        expect([filter, policy.maySubscribe(filter)]).toEqual([filter, 'denied'])
    },
  )

  it('gives a client that calls itself $SYS nothing of $SYS', () => {
    const policy = policyFor([{ allow: 'both', topics: ['${clientId}/#', 'd/${clientId}'] }], {}, '$SYS')
    expect(policy.maySubscribe('$SYS/#')).toBe('denied')
    expect(policy.mayPublish('$SYS/x')).toBe(false)
    expect(policy.mayPublish('d/$SYS')).toBe(true)
  })

  it('that a deny rule cannot fill stand for every value, so that no client identifier escapes it', () => {
    const rules: AccessRuleConfig[] = [
      { allow: 'both', topics: ['#'] },
      { deny: 'both', topics: ['d/dev-${clientId}/config', 'u/${username}/#', 'r/${role}'] },
    ]
    const odd = policyFor(rules, { username: undefined }, 'a/b')
    expect(odd.mayPublish('d/dev-c9/config')).toBe(false)
    expect(odd.mayPublish('d/dev-c9/state')).toBe(true)
    expect(odd.mayPublish('u/ann/x')).toBe(false)
    expect(odd.maySubscribe('d/#')).toBe('allowed-in-part')
    // No role at all is known, not unknown: a rule for each of none.
    expect(odd.mayPublish('r/x')).toBe(true)
    expect(policyFor(rules, { roles: ['a/b'] }).mayPublish('r/x')).toBe(false)
    expect(policyFor(rules).mayPublish('d/dev-c9/config')).toBe(true)
    expect(policyFor(rules).mayPublish('d/dev-c1/config')).toBe(false)
  })

  it('read own claims only', () => {
    const rules: AccessRuleConfig[] = [
      { allow: 'both', topics: ['c/${claims.constructor}', 'c/${claims.__proto__}'] },
    ]
    const policy = policyFor(rules, { claims: { tenant: 'acme' } })
    expect(policy.mayPublish(`c/${String(Object)}`)).toBe(false)
    expect(policy.mayPublish('c/[object Object]')).toBe(false)
  })

  it('reads names that objects are born with like any other', () => {
    const policy = policyFor([{ allow: 'both', topics: ['d/${clientId}'] }], {}, 'constructor')
    expect(policy.mayPublish('d/constructor')).toBe(true)
    expect(policy.mayPublish('d/__proto__')).toBe(false)
  })
})

describe('a rule that cannot be read', () => {
  it.each(['a#', 'x/${clientid}', '$share/g/a', 'a\0', '${claims.}', '${claims.a}+'])(
    '%j is not passed over',
    (topic) => {
      const compile = () =>
        compileAccessPolicy([
          { allow: 'both', topics: ['#'] },
          { deny: 'both', topics: ['ok', topic] },
        ])
      expect(compile).toThrow(GatewayError)
      expect(compile).toThrow(JSON.stringify(topic))
    },
  )
})

describe('against a plain reading of the rules', () => {
  const level = fc.constantFrom('a', 'b', 'c1', 'ann', 'red', '', '$x', '+')
  const filter = fc
    .tuple(fc.array(level, { minLength: 1, maxLength: 3 }), fc.boolean())
    .map(([levels, hash]) => (hash ? [...levels, '#'] : levels).join('/'))
    .filter((text) => text !== '')
  const templateLevel = fc.oneof(
    level,
    fc.constantFrom('${clientId}', '${username}', '${role}', '${claims.t}'),
  )
  const template = fc
    .tuple(fc.array(templateLevel, { minLength: 1, maxLength: 3 }), fc.boolean())
    .map(([levels, hash]) => (hash ? [...levels, '#'] : levels).join('/'))
    .filter((text) => text !== '')
  const rule: fc.Arbitrary<AccessRuleConfig> = fc
    .record({
      effect: fc.constantFrom('allow' as const, 'deny' as const),
      action: fc.constantFrom('publish' as const, 'subscribe' as const, 'both' as const),
      topics: fc.array(template, { minLength: 1, maxLength: 3 }),
      roles: fc.option(fc.subarray(['red', 'blue'], { minLength: 1 }), { nil: undefined }),
    })
    .map(({ effect, action, topics, roles }) => ({ [effect]: action, topics, ...(roles && { roles }) }))
  const topic = fc
    .array(fc.constantFrom('a', 'b', 'c1', 'ann', 'red', 'blue', '', '$x', 'acme'), {
      minLength: 1,
      maxLength: 4,
    })
    .map((levels) => levels.join('/'))
    .filter((text) => text !== '')
  const roles = fc.subarray(['red', 'blue'])

  /** The rules of a client whose values all fit, read one by one. */
  function modelFilters(
    rules: AccessRuleConfig[],
    held: string[],
    effect: 'allow' | 'deny',
    action: string,
  ): string[] {
    return rules.flatMap((entry) => {
      const applies = entry[effect] === action || entry[effect] === 'both'
      const mine = entry.roles === undefined ? held : held.filter((role) => entry.roles?.includes(role))
      if (!applies || (entry.roles !== undefined && mine.length === 0)) return []
      return entry.topics.flatMap((text) => {
        const filled = text
          .replaceAll('${clientId}', 'c1')
          .replaceAll('${username}', 'ann')
          .replaceAll('${claims.t}', 'acme')
        return filled.includes('${role}') ? mine.map((role) => filled.replaceAll('${role}', role)) : [filled]
      })
    })
  }

  it('publishes and receives what a rule allows and none denies', () => {
    fc.assert(
      fc.property(
        fc.array(rule, { maxLength: 5 }),
        roles,
        fc.array(topic, { maxLength: 8 }),
        (rules, held, names) => {
          const policy = policyFor(rules, { roles: held, claims: { t: 'acme' } })
          const may = (action: string, name: string) =>
            modelFilters(rules, held, 'allow', action).some((text) => filterMatches(text, name)) &&
            !modelFilters(rules, held, 'deny', action).some((text) => filterMatches(text, name))
          for (const name of [...names, ...names]) {
            expect([name, policy.mayPublish(name)]).toEqual([name, may('publish', name)])
            expect([name, policy.mayReceive(name)]).toEqual([name, may('subscribe', name)])
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  it('grants no filter that brings a topic which it may not receive', () => {
    fc.assert(
      fc.property(
        fc.array(rule, { maxLength: 5 }),
        roles,
        filter,
        fc.array(topic, { minLength: 1, maxLength: 20 }),
        (rules, held, asked, names) => {
          const policy = policyFor(rules, { roles: held, claims: { t: 'acme' } })
          const decision = policy.maySubscribe(asked)
          const brought = names.filter((name) => filterMatches(asked, name))
          const denied = modelFilters(rules, held, 'deny', 'subscribe')
          for (const name of brought) {
            if (decision === 'allowed') expect([name, policy.mayReceive(name)]).toEqual([name, true])
            if (decision === 'allowed-in-part' && !policy.mayReceive(name))
              expect(denied.some((text) => filterMatches(text, name))).toBe(true)
          }
          // A filter without wildcards is a topic: nothing is left to the deliveries.
          if (!/[+#]/.test(asked)) expect(decision).toBe(policy.mayReceive(asked) ? 'allowed' : 'denied')
        },
      ),
      { numRuns: 500 },
    )
  })

  it('remembers decisions within a bound and decides the same after forgetting', () => {
    const policy = policyFor([{ allow: 'publish', topics: ['d/${clientId}/+'] }])
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 1_000; i++) {
        expect(policy.mayPublish(`d/c1/${String(i)}`)).toBe(true)
        expect(policy.mayPublish(`d/c2/${String(i)}`)).toBe(false)
      }
    }
  })
})
