import { isUtf8 } from 'node:buffer'
import { wireRules, type WireRule } from './wire-rules.js'

const REPLACEMENT = '\ufffd'

/**
 * What is wrong with a UTF-8 string of the wire that has been decoded to `text` (by `Buffer.toString`, which keeps
 * a BOM [MQTT-1.5.4-3]), or undefined. Decoding puts U+FFFD in place of whatever is ill-formed, surrogates
 * included, so that the bytes are looked at again only if the text holds one.
 */
export function textFault(text: string, bytes: Buffer, start: number, end: number): WireRule | undefined {
  if (text.includes('\0')) return wireRules.nullCharacter
  if (text.includes(REPLACEMENT) && !isUtf8(bytes.subarray(start, end))) return wireRules.illFormedText
  return undefined
}
