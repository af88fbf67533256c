import { byteAt } from './byte-at.js'
import { PropertyId, type PropertySet } from './properties.js'
import { textFault } from './text.js'
import { wireRules, type WireRule } from './wire-rules.js'

const EMPTY = Buffer.alloc(0)

/**
 * Reads the fields of one control packet. The first fault sticks: reads after it give zeros and empty values, and
 * the packet ends at once, so that a decoder reads straight on and asks for the `fault` when it is done.
 *
 * Binary data and strings own their memory.
 */
export class PacketReader {
  fault: WireRule | undefined = undefined

  private bytes: Buffer = EMPTY
  private position = 0
  /** End of the packet, or of the property block that is being read. */
  private limit = 0
  private packetEnd = 0
  private overrun: WireRule = wireRules.truncated
  /** Bit sets of the property identifiers below 32 and from 32 on that have been in this block. */
  private seenLow = 0
  private seenHigh = 0

  /** Begins the packet whose fields are `bytes[start..end)`. */
  open(bytes: Buffer, start: number, end: number): void {
    this.fault = undefined
    this.bytes = bytes
    this.position = start
    this.limit = end
    this.packetEnd = end
    this.overrun = wireRules.truncated
  }

  get offset(): number {
    return this.position
  }

  get atEnd(): boolean {
    return this.position === this.limit
  }

  get remaining(): number {
    return this.limit - this.position
  }

  fail(rule: WireRule): void {
    this.fault ??= rule
    this.position = this.limit = this.packetEnd
  }

  /** The packet has to end here. */
  close(): void {
    if (!this.atEnd) this.fail(wireRules.trailing)
  }

  uint8(): number {
    if (!this.has(1)) return 0
    return byteAt(this.bytes, this.position++)
  }

  uint16(): number {
    if (!this.has(2)) return 0
    const value = this.bytes.readUInt16BE(this.position)
    this.position += 2
    return value
  }

  uint32(): number {
    if (!this.has(4)) return 0
    const value = this.bytes.readUInt32BE(this.position)
    this.position += 4
    return value
  }

  /** 0 to 268,435,455, in its shortest form [MQTT-1.5.5-1]. */
  variableByteInteger(): number {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      if (!this.has(1)) return 0
      const byte = byteAt(this.bytes, this.position++)
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) this.fail(wireRules.integerPadded)
        return value
      }
    }
    this.fail(wireRules.integerTooLong)
    return 0
  }

  string(): string {
    const length = this.uint16()
    if (!this.has(length) || length === 0) return ''
    const start = this.position
    this.position += length
    const text = this.bytes.toString('utf8', start, this.position)
    const fault = textFault(text, this.bytes, start, this.position)
    if (fault === undefined) return text
    this.fail(fault)
    return ''
  }

  binary(): Buffer {
    const length = this.uint16()
    if (!this.has(length)) return EMPTY
    const start = this.position
    this.position += length
    return Buffer.from(this.bytes.subarray(start, this.position))
  }

  /** A byte that says yes or no; `rule` is broken by any other value. */
  flag(rule: WireRule): boolean {
    const value = this.uint8()
    if (value > 1) this.fail(rule)
    return value === 1
  }

  /** Packet identifiers are not 0; `rule` says so. */
  packetIdentifier(rule: WireRule): number {
    const identifier = this.uint16()
    if (identifier === 0) this.fail(rule)
    return identifier
  }

  /** Enters the property block that starts here: `nextProperty` until it gives 0. */
  enterProperties(): void {
    const length = this.variableByteInteger()
    if (length > this.remaining) {
      this.fail(wireRules.propertiesOverrun)
      return
    }
    this.limit = this.position + length
    this.overrun = wireRules.propertiesOverrun
    this.seenLow = 0
    this.seenHigh = 0
  }

  /** The next property's identifier, its value to be read next; 0 at the end of the block, which is left then. */
  nextProperty(allowed: PropertySet): number {
    if (this.atEnd) {
      this.limit = this.packetEnd
      this.overrun = wireRules.truncated
      return 0
    }
    const identifier = this.variableByteInteger()
    if (this.fault === undefined) {
      if (allowed[identifier] !== true) this.fail(wireRules.propertyNotAllowed)
      else if (identifier !== PropertyId.UserProperty) this.markSeen(identifier)
    }
    return this.fault === undefined ? identifier : 0
  }

  private markSeen(identifier: number): void {
    const bit = 1 << (identifier & 31)
    const seen = identifier < 32 ? this.seenLow : this.seenHigh
    if ((seen & bit) !== 0) this.fail(wireRules.propertyRepeated)
    else if (identifier < 32) this.seenLow |= bit
    else this.seenHigh |= bit
  }

  private has(count: number): boolean {
    if (count <= this.limit - this.position) return true
    this.fail(this.overrun)
    return false
  }
}
