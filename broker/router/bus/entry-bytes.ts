import { ByteReader, ByteWriter } from '../../contract/bytes.js'

/** An entry that cannot be read. */
export class DamagedEntry extends Error {
  override readonly name = 'DamagedEntry'
}

/** Version of all entries. A change of a layout, that of messages included, raises it. */
const VERSION = 1

/** Writes entries, one at a time. */
export class EntryWriter extends ByteWriter {
  constructor() {
    super(VERSION)
  }

  /** Bytes written since `start`. */
  get length(): number {
    return this.at
  }

  /** 0 to 2^48 - 1: in six bytes, which is quicker than seven bits at a time. */
  override time(value: number): this {
    this.reserve(6)
    this.at = this.buffer.writeUIntLE(value, this.at, 6)
    return this
  }

  /** What was written from the version byte on; a view, valid until the next call. */
  fields(): Buffer {
    return this.buffer.subarray(1, this.at)
  }
}

/** Reads what `EntryWriter` wrote. Throws `DamagedEntry`, and nothing else, for any other bytes. */
export class EntryReader extends ByteReader {
  constructor(entry: Buffer) {
    super(entry, VERSION)
  }

  override damaged(how: string): DamagedEntry {
    return new DamagedEntry(how)
  }

  override time(): number {
    return this.value.readUIntLE(this.skip(6), 6)
  }
}
