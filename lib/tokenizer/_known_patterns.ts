/**
 * Regular expressions of public tokenizers that take linear time on any text: they run as they are. Whatever else a file
 * brings runs in a thread that can be ended (`_engine.ts`).
 *
 * test/tokenizer/hostile_tokenizer_test.ts gives each of them texts of 100,000 characters made to backtrack.
 */

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const UPPER = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, LOWER = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
const NOT_WORD = String.raw`[^\r\n\p{L}\p{N}]?`;

/** As cl100k: Llama 3 (`\p{N}{1,3}`), Qwen 2 and 3 (`\p{N}`), and others with their digits. */
const likeCl100k = (digits: string) =>
  CONTRACTIONS +
  String.raw`|[^\r\n\p{L}\p{N}]?\p{L}+|${digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

/** As o200k: GPT-4o and Llama 4 (with contractions), Mistral's Tekken (without). */
const likeO200k = (contractions: string, digits: string) =>
  `${NOT_WORD}${UPPER}*${LOWER}+${contractions}|${NOT_WORD}${UPPER}+${LOWER}*${contractions}|${digits}` +
  String.raw`| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

/** The expressions, as files spell them. */
export const knownPatterns: ReadonlySet<string> = new Set([
  // GPT-2, in the spellings of several files; and what tokenizer_builder.ts writes.
  String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
  String.raw`'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
  String.raw`'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
  // CLIP
  String.raw`'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`,
  likeCl100k(String.raw`\p{N}{1,3}`),
  likeCl100k(String.raw`\p{N}`),
  likeCl100k(String.raw`\p{N}{1,2}`),
  likeCl100k(String.raw`\p{N}+`),
  likeO200k(`${CONTRACTIONS}?`, String.raw`\p{N}{1,3}`),
  likeO200k("", String.raw`\p{N}{1,3}`),
  likeO200k("", String.raw`\p{N}`),
  // BLOOM
  String.raw` ?[^(\s|[.,!?…。，、।۔،])]+`,
  // Digits and line ends by themselves: DeepSeek, OLMo, Falcon and others
  String.raw`\p{N}{1,3}`,
  String.raw`\p{N}`,
  String.raw`\p{Nd}`,
  String.raw`\d`,
  "[0-9]",
  "[0-9][0-9][0-9]",
  "[\r\n]",
  String.raw`[\r\n]`,
  String.raw`\s`,
  String.raw`\s+`,
  // Runs of blanks: ALBERT, T5, XLM-RoBERTa
  " {2,}",
]);
