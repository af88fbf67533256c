import { z } from 'zod'
import { Rejected, type TransformDeclaration } from '../../broker/contract/connector.js'
import { FieldPath, fieldPath } from '../field-path.js'

const schema = z.strictObject({
  type: z.literal('rename'),
  from: fieldPath.describe('Field to move.'),
  to: fieldPath.describe('Where it goes; `.` makes it the whole value. What was there is replaced.'),
})

export const rename: TransformDeclaration<typeof schema> = {
  name: 'rename',
  summary: 'Moves a field of the value to another name or place.',
  schema,
  check: ({ from }) =>
    from === '.' ? [{ path: ['from'], allowed: 'a field, since the whole value has no name' }] : [],
  create({ from, to }) {
    const source = new FieldPath(from)
    const target = new FieldPath(to)
    return {
      apply(record, emit) {
        const field = source.take(record.value)
        if (field === undefined) throw new Rejected('no_field', `no field \`${from}\``)
        const changed = target.set(record.value, field)
        if (changed === undefined) throw new Rejected('no_field', `no way to field \`${to}\``)
        record.value = changed.value
        emit(record)
      },
    }
  },
}
