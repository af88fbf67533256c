import { cpus, loadavg, release, totalmem, type } from 'node:os'
import type { Cores } from '../peers/cores.js'
import type { Machine } from './report.js'

export function describeMachine(cores: Cores, workers: number): Machine {
  const processors = cpus()
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryGigabytes: Math.round(totalmem() / 1e9),
    system: `${type()} ${release()}`,
    node: process.versions.node,
    brokerCores: cores.broker,
    loadCores: cores.load,
    workers,
    loadAverage: loadavg()[0] ?? 0,
  }
}
