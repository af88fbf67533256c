import type { LoadReport, Machine } from '../report.js'
import { markup, Markup } from './markup.js'
import { rowSection } from './row-section.js'
import { style } from './style.js'
import { summaryTable } from './summary-table.js'

/** The report as one page that needs nothing else: it opens from disk, in light and dark. */
export function htmlReport(report: LoadReport): string {
  const { machine, brokers, rows, startedAt, command } = report
  const title = rows.length === 1 ? (rows[0]?.title ?? '') : 'Load tests'
  const page = markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${new Markup(style)}</style>
</head>
<body>
<main>
<h1>${title}</h1>
<p class="soft">${startedAt.slice(0, 16).replace('T', ' ')} UTC · <code>${command}</code></p>
<dl class="facts">${factsOf(machine).map(([name, value]) => markup`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
${brokers.map(({ name, version }) => markup`<div><dt>${name}</dt><dd>${version}</dd></div>`)}</dl>
${rows.length > 1 ? summaryTable(rows) : ''}
${rows.map(rowSection)}
<section><h2>Settings of the brokers</h2>
${brokers.map(({ name, settings }) => markup`<details><summary>${name}</summary><pre>${settings}</pre></details>`)}
</section>
</main>
</body>
</html>
`
  return page.text
}

function factsOf(machine: Machine): (readonly [name: string, value: string])[] {
  const { brokerCores, loadCores, workers } = machine
  const pinned =
    brokerCores === undefined
      ? 'not pinned'
      : `broker on core ${brokerCores}, load (${workers} ${workers === 1 ? 'process' : 'processes'}) on ${loadCores ?? ''}`
  return [
    ['machine', `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGigabytes} GB`],
    ['system', `${machine.system}, Node ${machine.node}`],
    ['cores', pinned],
    ['load average before', machine.loadAverage.toFixed(2)],
  ]
}
