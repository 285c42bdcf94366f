/**
 * How much a text repeats itself: the share of its n-grams of words that it has used before,
 *
 *   1 − distinct n-grams / all n-grams,
 *
 * words being what white space parts. 0 for a text shorter than n + 1 words (rep-n of Welleck et al., arXiv 1908.04319).
 *
 * @param n words of an n-gram (default 4)
 */
export function repetition(text: string, n = 4): number {
  const words = text.split(/\s+/).filter(Boolean);
  const grams = Array.from(
    { length: Math.max(0, words.length - n + 1) },
    (_, i) => words.slice(i, i + n).join(" "),
  );
  return grams.length === 0 ? 0 : (grams.length - new Set(grams).size) / grams.length;
}
