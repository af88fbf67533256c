/** A figure for people: three digits that count, thousands in groups. */
export function amount(value: number): string {
  if (!Number.isFinite(value)) return '-'
  const size = Math.abs(value)
  if (size < 1e-6) return '0'
  if (size >= 1_000) {
    const step = 10 ** (Math.floor(Math.log10(size)) - 2)
    return (Math.round(value / step) * step).toLocaleString('en-US', { maximumFractionDigits: 0 })
  }
  if (size >= 100 || Number.isInteger(value)) return value.toFixed(0)
  return Number(value.toPrecision(3)).toString()
}
