/** Maps values to positions, with marks that people can read. */
export interface Scale {
  at(value: number): number
  readonly marks: readonly number[]
}

/** From 0; 3 to 6 marks at multiples of 1, 2 or 5. */
export function linearScale(max: number, from: number, to: number): Scale {
  const step = niceStep(max > 0 ? max : 1)
  const top = Math.ceil((max > 0 ? max : 1) / step) * step
  const marks = Array.from({ length: Math.round(top / step) + 1 }, (_, index) => index * step)
  return { at: (value) => from + ((to - from) * value) / top, marks }
}

/** Values above 0; a mark at each power of ten, at 2 and 5 between them where there are few. */
export function logScale(values: readonly number[], from: number, to: number): Scale {
  const positive = values.filter((value) => value > 0)
  const low = 10 ** Math.floor(Math.log10(Math.min(...positive, 1e9)))
  const high = 10 ** Math.ceil(Math.log10(Math.max(...positive, low * 1.01)))
  const decades = Math.round(Math.log10(high / low))
  const steps = decades <= 2 ? [1, 2, 5] : [1]
  const marks = Array.from({ length: decades + 1 }, (_, index) => low * 10 ** index)
    .flatMap((decade) => steps.map((step) => decade * step))
    .filter((mark) => mark <= high * 1.001)
  return {
    at: (value) => from + ((to - from) * Math.log(Math.max(value, low) / low)) / Math.log(high / low),
    marks,
  }
}

function niceStep(max: number): number {
  const rough = max / 4
  const power = 10 ** Math.floor(Math.log10(rough))
  return ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10) * power
}
