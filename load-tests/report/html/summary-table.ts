import { metricInfo } from '../metrics.js'
import { ratioSpreadIn, type Row } from '../report.js'
import { markup, type Markup } from './markup.js'

/** All rows at a glance: the ratio to each peer, and whether it is what was asked for. */
export function summaryTable(rows: readonly Row[]): Markup {
  const peers = [...new Set(rows.flatMap((row) => row.brokers.slice(1)))]
  return markup`<section><h2>All rows</h2>
<p class="soft">Figure of the first broker divided by that of its peer, in the same round: median, and quartiles below. Less is better
where the row says so.</p>
<div class="scroll"><table>
<tr><th>work</th><th>figure</th>${peers.map((peer) => markup`<th>to ${peer}</th>`)}</tr>
${rows.map(
  (row) => markup`<tr><td>${row.title}</td><td class="soft">${figureOf(row)}</td>
${peers.map((peer) => markup`<td>${ratioCell(row, peer)}</td>`)}</tr>`,
)}
</table></div></section>`
}

function figureOf(row: Row): string {
  const { label, better } = metricInfo(row.figure)
  return better === 'lower' ? `${label} (less is better)` : label
}

function ratioCell(row: Row, peer: string): Markup | string {
  const ratio = ratioSpreadIn(row, peer, row.figure)
  if (ratio === undefined) return ''
  return markup`${ratio.median.toFixed(2)} ${verdict(row, peer, ratio.median)}<br><small>${ratio.q1.toFixed(2)} to ${ratio.q3.toFixed(2)}</small>`
}

function verdict(row: Row, peer: string, median: number): Markup | string {
  const target = row.targets[peer]
  if (target === undefined) return ''
  const lower = metricInfo(row.figure).better === 'lower'
  const met = lower ? median <= target : median >= target
  return markup`<span class="verdict ${met ? 'met' : 'missed'}">${met ? 'meets' : 'misses'} ${lower ? '≤' : '≥'} ${target}</span>`
}
