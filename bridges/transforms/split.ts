import { z } from 'zod'
import { Rejected, type TransformDeclaration } from '../../broker/contract/connector.js'
import { FieldPath, fieldPath } from '../field-path.js'

const schema = z.strictObject({
  type: z.literal('split'),
  field: fieldPath.default('.').describe('Field with the list.'),
  maxItems: z
    .int()
    .min(1)
    .max(100_000)
    .default(1_000)
    .describe('Longest list that is taken, 1 to 100,000; a longer one is dropped whole.'),
})

export const split: TransformDeclaration<typeof schema> = {
  name: 'split',
  summary: 'Makes a record of each item of a list: for devices that send several readings at once.',
  schema,
  create({ field, maxItems }) {
    const path = new FieldPath(field)
    return {
      apply(record, emit) {
        const items = path.get(record.value)
        if (!Array.isArray(items)) throw new Rejected('no_field', `no list in field \`${field}\``)
        if (items.length > maxItems)
          throw new Rejected('no_field', `a list of ${items.length}, above \`maxItems\` ${maxItems}`)
        for (const item of items) emit({ ...record, value: item as unknown })
      },
    }
  },
}
