import { z } from 'zod'
import { Rejected, type TransformDeclaration } from '../../broker/contract/connector.js'
import { FieldPath, fieldPath } from '../field-path.js'

const schema = z.strictObject({
  type: z.literal('scale'),
  field: fieldPath.default('value').describe('Field with the number.'),
  factor: z.number().default(1).describe('The number is multiplied by this,'),
  offset: z.number().default(0).describe('then this is added.'),
})

export const scale: TransformDeclaration<typeof schema> = {
  name: 'scale',
  summary: 'Converts a number to another unit: `field * factor + offset`.',
  schema,
  create({ field, factor, offset }) {
    const path = new FieldPath(field)
    return {
      apply(record, emit) {
        const number = path.number(record.value)
        if (number === undefined) throw new Rejected('no_number', `no number in field \`${field}\``)
        const changed = path.set(record.value, number * factor + offset)
        if (changed !== undefined) record.value = changed.value
        emit(record)
      },
    }
  },
}
