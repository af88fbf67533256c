import { ByteReader, ByteWriter } from '../contract/bytes.js'

/** A value that cannot be read back. */
export class DamagedValue extends Error {
  override readonly name = 'DamagedValue'
}

/**
 * Version of all values. A change of a layout, that of messages included, raises it, and with it `FORMAT_VERSION` of the
 * store.
 */
const VALUE_VERSION = 1

/** Writes one value at a time. LevelDB does not verify its own checksums when it reads: a flipped bit is found here or nowhere. */
export class ValueWriter extends ByteWriter {
  constructor() {
    super(VALUE_VERSION)
  }
}

/** Reads what `ValueWriter` wrote. Throws `DamagedValue`, and nothing else, for any other bytes. */
export class ValueReader extends ByteReader {
  /** `verify` as in `ByteReader`. */
  constructor(value: Buffer, verify?: boolean) {
    super(value, VALUE_VERSION, verify)
  }

  override damaged(how: string): DamagedValue {
    return new DamagedValue(how)
  }

  /** Nothing may follow. */
  finish(): void {
    if (!this.done) throw this.damaged('is longer than its content')
  }
}
