import { readdirSync } from 'node:fs'
import {
  constants,
  PerformanceObserver,
  type NodeGCPerformanceDetail,
  type PerformanceEntry,
} from 'node:perf_hooks'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/**
 * What every dashboard for Node processes expects, under the customary names. `collectDefaultMetrics` of prom-client
 * gives more, yet keeps an observer and a histogram of the event loop for good: a program that makes and stops several
 * gateways would collect them. It also sees only the first of several garbage collections that are reported at once.
 */
export class ProcessMetrics {
  private readonly observer: PerformanceObserver

  constructor(registry: Registry) {
    const registers = [registry]
    new Counter({
      name: 'process_cpu_seconds_total',
      help: 'User and system CPU time of the process, all threads.',
      registers,
      collect() {
        const { user, system } = process.cpuUsage()
        this.reset()
        this.inc((user + system) / 1e6)
      },
    })
    new Gauge({
      name: 'process_start_time_seconds',
      help: 'Start of the process since the epoch.',
      registers,
    }).set(performance.timeOrigin / 1e3)
    new Gauge({
      name: 'process_open_fds',
      help: 'Open file descriptors; 0 where the system does not tell.',
      registers,
      collect() {
        this.set(openFileDescriptors())
      },
    })
    memory(registry)
    new Gauge({
      name: 'nodejs_version_info',
      help: 'Version of Node.',
      labelNames: ['version'],
      registers,
    }).set({ version: process.version }, 1)
    this.observer = garbageCollections(registry)
  }

  start(): void {
    this.observer.observe({ entryTypes: ['gc'] })
  }

  stop(): void {
    this.observer.disconnect()
  }
}

/** One look at the memory for all figures of a scrape: metrics are collected in the order of their registration. */
function memory(registry: Registry): void {
  const registers = [registry]
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory.',
    registers,
    collect() {
      const usage = process.memoryUsage()
      this.set(usage.rss)
      heapUsed.set(usage.heapUsed)
      heapTotal.set(usage.heapTotal)
      external.set(usage.external)
    },
  })
  const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers })
  const heapUsed = gauge('nodejs_heap_size_used_bytes', 'Heap of the main thread in use.')
  const heapTotal = gauge('nodejs_heap_size_total_bytes', 'Heap of the main thread.')
  const external = gauge('nodejs_external_memory_bytes', 'Memory outside of the heap, such as buffers.')
}

function garbageCollections(registry: Registry): PerformanceObserver {
  const histogram = new Histogram({
    name: 'nodejs_gc_duration_seconds',
    help: 'Garbage collections by kind.',
    labelNames: ['kind'],
    buckets: [0.001, 0.01, 0.1, 1],
    registers: [registry],
  })
  for (const kind of Object.values(KINDS)) histogram.zero({ kind })
  return new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { detail } = entry as PerformanceEntry & { readonly detail: NodeGCPerformanceDetail }
      histogram.observe({ kind: KINDS[detail.kind] ?? 'other' }, entry.duration / 1e3)
    }
  })
}

const KINDS: Readonly<Record<number, string>> = {
  [constants.NODE_PERFORMANCE_GC_MAJOR]: 'major',
  [constants.NODE_PERFORMANCE_GC_MINOR]: 'minor',
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: 'incremental',
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: 'weakcb',
}

function openFileDescriptors(): number {
  try {
    // Less the one that reads the folder.
    return readdirSync('/proc/self/fd').length - 1
  } catch {
    return 0 // Not Linux.
  }
}
