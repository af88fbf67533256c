/**
 * Text that a client has chosen (client identifier, topic, user name), fit for a log line: cut, and with control
 * characters, invisible and direction-changing ones, and lone surrogates escaped, so that no line can pass for another
 * and no terminal obeys it.
 */
export function printable(text: string, longest = 128): string {
  const cut = text.length > longest ? `${text.slice(0, longest)}...(${text.length})` : text
  // C: control, format, surrogate, private use, unassigned; Zl, Zp: line and paragraph separators.
  return cut.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`)
}
