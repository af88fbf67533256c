import { afterEach, beforeEach, describe } from 'vitest'
import { acceptStatements } from './accept.js'
import { agreementStatements } from './agreement.js'
import { Bench, type StoreUnderTest } from './bench.js'
import { queueStatements } from './queues.js'
import { reopenStatements } from './reopen.js'
import { retainedStatements } from './retained.js'
import { sessionStatements } from './sessions.js'

/**
 * What every store has to do: the statements of `contract/store.ts`, one test each. A store runs it from its own
 * test file and says what it can do.
 */
export function storeConformance(subject: StoreUnderTest): void {
  describe(`${subject.name} as a store`, () => {
    const bench = new Bench(subject)
    beforeEach(() => bench.start())
    afterEach(() => bench.stop())
    sessionStatements(bench)
    acceptStatements(bench)
    queueStatements(bench)
    retainedStatements(bench)
    agreementStatements(bench, subject.survivesReopen)
    if (subject.survivesReopen) reopenStatements(bench)
  })
}
