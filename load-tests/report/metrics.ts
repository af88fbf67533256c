/** What runs are measured by. `better` says what a ratio above 1 means; `none`: a ratio says nothing. */
export interface MetricInfo {
  readonly label: string
  readonly unit: string
  readonly better: 'higher' | 'lower' | 'none'
}

const metricTable = {
  deliveriesPerCpuSecond: info('deliveries per CPU-second of the broker', '/CPU-s', 'higher'),
  deliveriesPerSecond: info('deliveries per second', '/s', 'higher'),
  publishesPerSecond: info('messages published per second', '/s', 'higher'),
  brokerCpu: info('broker CPU, of one core', '%', 'none'),
  redisCpu: info('of it Redis', '%', 'none'),
  clientCpu: info('load generator CPU, of one core', '%', 'none'),
  rss: info('broker memory (RSS)', 'MB', 'lower'),
  p50: info('latency, median', 'ms', 'lower'),
  p90: info('latency, 90 %', 'ms', 'lower'),
  p99: info('latency, 99 %', 'ms', 'lower'),
  p999: info('latency, 99.9 %', 'ms', 'lower'),
  max: info('latency, longest', 'ms', 'lower'),
  lateness99: info('sent later than due, 99 %', 'ms', 'none'),
  bytesPerDelivery: info('bytes on the wire for a delivery', 'B', 'lower'),
  bytesPerPublish: info('bytes on the wire for a publish', 'B', 'lower'),
  lost: info('messages lost', '', 'none'),
  duplicates: info('messages doubled', '', 'none'),
  reordered: info('messages out of order', '', 'none'),
  refused: info('messages refused', '', 'none'),
  stalls: info('stalls of a closed loop', '', 'none'),
  connectionsLost: info('connections lost', '', 'none'),
  kilobytesPerConnection: info('memory for a connection', 'KB', 'lower'),
  bytesPerSubscription: info('memory for a subscription, where the client is', 'B', 'lower'),
  bytesPerSubscriptionElsewhere: info('memory for a subscription on another node', 'B', 'lower'),
  redisBytesPerSubscription: info('memory for a subscription in Redis', 'B', 'lower'),
  redisKilobytesPerConnection: info('memory for a connection in Redis', 'KB', 'lower'),
  kilobytesPerConnectionElsewhere: info('memory for a connection on another node', 'KB', 'lower'),
  connectsPerSecond: info('connections accepted per second', '/s', 'higher'),
  connectsPerCpuSecond: info('connections accepted per CPU-second of the broker', '/CPU-s', 'higher'),
  connectFailures: info('connections failed', '', 'none'),
  returnSeconds: info('from the restart until all clients are back', 's', 'lower'),
  firstMs: info('until the first message', 'ms', 'lower'),
  lastMs: info('until the last message', 'ms', 'lower'),
  queuedPerCpuSecond: info('messages queued per CPU-second of the broker', '/CPU-s', 'higher'),
  p99Before: info('latency of the others before, 99 %', 'ms', 'lower'),
  p99During: info('latency of the others with stopped receivers, 99 %', 'ms', 'lower'),
  slowdown: info('p99 with stopped receivers, against before', 'x', 'none'),
  rssGrowth: info('growth of broker memory', 'MB', 'none'),
  rssSlope: info('growth of broker memory per hour', 'MB/h', 'none'),
} as const

export const metricNames = Object.keys(metricTable) as readonly MetricName[]
export type MetricName = keyof typeof metricTable

/** Figures of one run. A metric that could not be measured (CPU time of a remote broker) is left out. */
export type Metrics = Readonly<Partial<Record<MetricName, number>>>

export function metricInfo(name: MetricName): MetricInfo {
  return metricTable[name]
}

export function isMetricName(name: string): name is MetricName {
  return Object.hasOwn(metricTable, name)
}

function info(label: string, unit: string, better: MetricInfo['better']): MetricInfo {
  return { label, unit, better }
}
