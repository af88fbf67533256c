import { isUtf8 } from 'node:buffer'
import { z } from 'zod'
import { Rejected, type CodecDeclaration } from '../../broker/contract/connector.js'

const schema = z.strictObject({ type: z.literal('json') })

export const json: CodecDeclaration<typeof schema> = {
  name: 'json',
  summary: 'One JSON value (RFC 8259) in UTF-8 a payload.',
  schema,
  create: () => ({
    decode(payload) {
      const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
      if (!isUtf8(bytes)) throw new Rejected('undecodable', 'not UTF-8')
      try {
        return JSON.parse(bytes.toString('utf8')) as unknown
      } catch {
        // The parser's message quotes the payload, which belongs in no log.
        throw new Rejected('undecodable', `not JSON, ${bytes.length} bytes`)
      }
    },
    encode: (value) => Buffer.from(JSON.stringify(value)),
  }),
}
