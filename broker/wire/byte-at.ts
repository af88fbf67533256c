/**
 * The byte at an index that the caller has checked against the bounds. (Indexing is typed as possibly undefined;
 * a test for that on every byte would be dead code in the hottest loops.)
 */
export function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] as number
}
