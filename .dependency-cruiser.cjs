/** Who may import whom. Every rule is an error; docs/architecture.md says why. */
const BROKER_PARTS = [
  'transport',
  'wire',
  'session',
  'engine',
  'router',
  'store',
  'access',
  'admin',
  'telemetry',
]

/** A part of the broker sees the contract, itself, and the types of the configuration. */
function onlyContract(part, alsoAllowed = []) {
  const allowed = ['contract', part, ...alsoAllowed].join('|')
  return {
    name: `${part}-sees-only-the-contract`,
    severity: 'error',
    from: { path: `^broker/${part}/`, pathNot: '\\.test\\.ts$' },
    to: {
      path: '^(broker|bridges|devices-sim|load-tests|config|dashboard|e2e)/',
      pathNot: `^broker/(${allowed})/|^config/schema\\.ts$`,
    },
  }
}

module.exports = {
  forbidden: [
    {
      name: 'contract-imports-nothing-of-ours',
      severity: 'error',
      from: { path: '^broker/contract/', pathNot: '\\.test\\.ts$' },
      to: {
        path: '^(broker|bridges|devices-sim|load-tests|config|dashboard|e2e)/',
        pathNot: '^broker/contract/',
      },
    },
    ...BROKER_PARTS.map((part) => onlyContract(part, part === 'session' ? ['wire'] : [])),
    {
      name: 'config-schema-is-imported-for-its-types',
      severity: 'error',
      from: { path: '^(broker|bridges|devices-sim|load-tests)/', pathNot: '^broker/app/|\\.test\\.ts$' },
      to: { path: '^config/schema\\.ts$', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'aedes-only-in-engine',
      severity: 'error',
      from: {
        pathNot:
          '^broker/engine/|^broker/store/.*\\.test\\.ts$|^broker/store/migrat|^load-tests/peers/|^broker/app/index\\.ts$',
      },
      to: { path: 'node_modules/(aedes|aedes-.*|mqemitter.*)/' },
    },
    {
      name: 'ioredis-only-in-one-factory',
      severity: 'error',
      from: { pathNot: '^broker/store/redis/connection|\\.test\\.ts$|^load-tests/peers/' },
      to: { path: 'node_modules/ioredis/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'bridges-reach-the-broker-through-the-contract',
      severity: 'error',
      from: { path: '^bridges/', pathNot: '\\.test\\.ts$' },
      to: { path: '^(broker|devices-sim|load-tests|dashboard|e2e)/', pathNot: '^broker/contract/' },
    },
    {
      name: 'simulator-and-load-tests-reach-a-broker-through-sockets',
      severity: 'error',
      from: { path: '^(devices-sim|load-tests)/', pathNot: '\\.test\\.ts$' },
      to: { path: '^(broker|bridges|dashboard|e2e)/', pathNot: '^broker/contract/' },
    },
    {
      name: 'config-stands-alone',
      severity: 'error',
      from: { path: '^config/', pathNot: '\\.test\\.ts$' },
      to: { path: '^(broker|bridges|devices-sim|load-tests|dashboard|e2e)/', pathNot: '^broker/contract/' },
    },
    {
      name: 'only-app-puts-parts-together',
      severity: 'error',
      from: {
        path: '^(broker/(?!app)|bridges|devices-sim|load-tests|config|dashboard)',
        pathNot: '\\.test\\.ts$',
      },
      to: { path: '^broker/app/' },
    },
    {
      name: 'production-never-imports-tests',
      severity: 'error',
      from: { pathNot: '\\.test\\.ts$|^e2e/|conformance|^vitest' },
      to: { path: '\\.test\\.ts$|^e2e/|conformance\\.ts$' },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^dist/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
}
