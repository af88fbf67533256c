import { z } from 'zod'
import type { BridgeRecord, TransformDeclaration } from '../../broker/contract/connector.js'
import { FieldPath, fieldPath } from '../field-path.js'

const scalar = z.union([z.string(), z.number(), z.boolean()])

const schema = z.strictObject({
  type: z.literal('filter'),
  field: fieldPath.optional().describe('Field of the value to look at. One of `field` and `capture`.'),
  capture: z.string().optional().describe('Capture of the source to look at.'),
  in: z.array(scalar).min(1).optional().describe('Passes when it is one of these.'),
  notIn: z.array(scalar).min(1).optional().describe('Passes when it is none of these.'),
  min: z.number().optional().describe('Passes when it is a number of at least this.'),
  max: z.number().optional().describe('Passes when it is a number of at most this.'),
})

/** Records that pass every condition go on; the others were not wanted, which is no fault of theirs. */
export const filter: TransformDeclaration<typeof schema> = {
  name: 'filter',
  summary: 'Lets through the records that meet every condition; the others are counted as filtered.',
  schema,
  check({ field, capture, ...conditions }, captures) {
    if ((field === undefined) === (capture === undefined))
      return [{ path: ['field'], allowed: 'one of `field` and `capture`' }]
    if (capture !== undefined && !captures.includes(capture))
      return [{ path: ['capture'], allowed: `a capture of the source: ${captures.join(', ')}` }]
    const { in: oneOf, notIn, min, max } = conditions
    if ([oneOf, notIn, min, max].every((condition) => condition === undefined))
      return [{ path: [], allowed: 'a condition: `in`, `notIn`, `min`, `max`' }]
    return min !== undefined && max !== undefined && min > max
      ? [{ path: ['max'], allowed: `${min} or more, since that is \`min\`` }]
      : []
  },
  create({ field, capture, in: oneOf, notIn, min, max }) {
    const path = field === undefined ? undefined : new FieldPath(field)
    const wanted = oneOf === undefined ? undefined : new Set<unknown>(oneOf)
    const unwanted = notIn === undefined ? undefined : new Set<unknown>(notIn)
    const subject = (record: BridgeRecord): unknown =>
      path === undefined ? record.captures[capture ?? ''] : path.get(record.value)
    return {
      apply(record, emit) {
        const value = subject(record)
        if (wanted !== undefined && !wanted.has(value)) return
        if (unwanted?.has(value) === true) return
        if (min !== undefined && !(typeof value === 'number' && value >= min)) return
        if (max !== undefined && !(typeof value === 'number' && value <= max)) return
        emit(record)
      },
    }
  },
}
