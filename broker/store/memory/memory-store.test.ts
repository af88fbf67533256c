import { storeConformance } from '../conformance/suite.js'
import { MemoryStore } from './memory-store.js'

storeConformance({
  name: 'memory',
  survivesReopen: false,
  create: (limits, events, clock) => new MemoryStore(limits, events, clock),
  reset: () => Promise.resolve(),
})
