/** One more number in a hash of 32 bits: two rounds of FNV-1a's step, folded. */
export function mix(hash: number, value: number): number {
  const h = Math.imul(hash ^ value, 0x01000193);
  return h ^ (h >>> 15);
}
