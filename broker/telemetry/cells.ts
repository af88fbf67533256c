import { Counter, Gauge, type Registry } from 'prom-client'

/**
 * A count that is added to on hot paths. `count` is a plain number: prom-client's own `inc` builds a label key for each
 * call. The registry reads it when somebody scrapes.
 */
export interface Cell {
  count: number
}

export interface MetricName {
  /** Without the prefix. */
  readonly name: string
  readonly help: string
}

export const PREFIX = 'openclaw_'

export function counter(registry: Registry, { name, help }: MetricName): Cell {
  const cell: Cell = { count: 0 }
  new Counter({
    name: PREFIX + name,
    help,
    registers: [registry],
    collect() {
      this.reset()
      this.inc(cell.count)
    },
  })
  return cell
}

export interface LabeledName<Value extends string> extends MetricName {
  readonly label: string
  /** All values that the label will ever have: each is there from the start, with 0. */
  readonly values: readonly Value[]
}

export function labeledCounter<Value extends string>(
  registry: Registry,
  { name, help, label, values }: LabeledName<Value>,
): Readonly<Record<Value, Cell>> {
  const cells = cellsFor(values)
  new Counter({
    name: PREFIX + name,
    help,
    labelNames: [label],
    registers: [registry],
    collect() {
      this.reset()
      for (const value of values) this.inc({ [label]: value }, cells[value].count)
    },
  })
  return cells
}

export function labeledGauge<Value extends string>(
  registry: Registry,
  { name, help, label, values }: LabeledName<Value>,
): Readonly<Record<Value, Cell>> {
  const cells = cellsFor(values)
  new Gauge({
    name: PREFIX + name,
    help,
    labelNames: [label],
    registers: [registry],
    collect() {
      for (const value of values) this.set({ [label]: value }, cells[value].count)
    },
  })
  return cells
}

/** A gauge that is asked for its value when somebody scrapes. */
export function gauge(registry: Registry, { name, help }: MetricName, read: () => number): void {
  new Gauge({
    name: PREFIX + name,
    help,
    registers: [registry],
    collect() {
      this.set(read())
    },
  })
}

function cellsFor<Value extends string>(values: readonly Value[]): Readonly<Record<Value, Cell>> {
  return Object.fromEntries(values.map((value): [Value, Cell] => [value, { count: 0 }])) as Record<
    Value,
    Cell
  >
}
