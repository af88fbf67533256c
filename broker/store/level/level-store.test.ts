import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { storeConformance } from '../conformance/suite.js'
import { LevelStore } from './level-store.js'

let directory: string | undefined

storeConformance({
  name: 'level',
  survivesReopen: true,
  create(limits, events, clock) {
    directory ??= mkdtempSync(join(tmpdir(), 'openclaw-level-'))
    return new LevelStore({ directory, sync: false }, limits, events, clock)
  },
  reset() {
    if (directory !== undefined) rmSync(directory, { recursive: true })
    directory = undefined
    return Promise.resolve()
  },
})
