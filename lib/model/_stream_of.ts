/** The stream of one sample: of the seed, the question's id and the sample's number, so of nothing else. FNV-1a. */
export function streamOf(seed: number, id: string, sample: number): number {
  let h = 0x811c9dc5;
  for (const char of `${seed}/${id}/${sample}`) h = Math.imul(h ^ char.codePointAt(0)!, 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  return h ^ (h >>> 13);
}
