/**
 * Prepares a user name or password as SASLprep (RFC 4013) does: spaces become U+0020, invisible characters go, the
 * rest is brought to NFKC, and what may not be in it is refused. Node has no stringprep; this covers mapping,
 * normalisation and prohibition with the Unicode version of the running Node, where RFC 3454 has Unicode 3.2. The
 * rule for mixed writing directions (RFC 3454, 6) is not checked: it prohibits text and never changes any.
 *
 * @returns undefined for the empty text, and for text with a prohibited or unassigned character.
 */
export function saslprep(text: string): string | undefined {
  const prepared = text.replace(MAPPED_TO_NOTHING, '').replace(OTHER_SPACES, ' ').normalize('NFKC')
  return prepared === '' || PROHIBITED.test(prepared) ? undefined : prepared
}

/** RFC 3454, table B.1. */
const MAPPED_TO_NOTHING = /[\u034F\u180B-\u180D\uFE00-\uFE0F\u00AD\u1806\u200B-\u200D\u2060\uFEFF]/gu

/** RFC 3454, table C.1.2; U+200B is also in B.1, which comes first. */
const OTHER_SPACES = /[\u00A0\u1680\u2000-\u200A\u202F\u205F\u3000]/gu

/**
 * Control characters (C.2), private use (C.3), non-characters and unassigned (C.4, A.1), surrogates (C.5), not for
 * plain text (C.6), not canonical (C.7, where NFKC leaves any), change of display (C.8), tagging (C.9).
 */
const PROHIBITED =
  /[\p{Cc}\p{Co}\p{Cs}\p{Cn}\u06DD\u070F\u180E\u2028\u2029\u2061-\u2063\u206A-\u206F\u{1D173}-\u{1D17A}\uFFF9-\uFFFD\u2FF0-\u2FFB\u200E\u200F\u202A-\u202E\u{E0001}\u{E0020}-\u{E007F}]/u
