/**
 * Signs that a tokenizer is another model's, where nothing proves it.
 */

import type { DecoderConfig } from "../checkpoint/config.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Smallest share of the embedding's rows that a model's own tokenizer is expected to name. */
const SHARE = 0.9;

/**
 * What makes one doubt that a tokenizer belongs to a model: one line each, none where they agree.
 *
 * Fewer tokens than rows is no error, since embeddings are padded: Qwen2.5 has 151,936 rows for 151,665 tokens (99.8%).
 * A tokenizer of another family names far fewer (GPT-2's 50,257 ids are 39% of Llama 3's), or begins and ends a
 * text with other ids than config.json does. Ids that either side does not state are not compared.
 *
 * @param where the tokenizer's directory
 */
export function tokenizerDoubts(
  config: Pick<DecoderConfig, "vocabularySize" | "beginToken" | "endTokens">,
  tokenizer: Pick<Tokenizer, "vocabularySize" | "beginToken" | "endTokens">,
  where: string,
): string[] {
  const doubts: string[] = [];
  if (tokenizer.vocabularySize < SHARE * config.vocabularySize) {
    doubts.push(`it has ${tokenizer.vocabularySize} tokens, the model ${config.vocabularySize}`);
  }
  const { beginToken: begin } = tokenizer, [end] = tokenizer.endTokens;
  if (begin !== undefined && config.beginToken !== undefined && begin !== config.beginToken) {
    doubts.push(`it begins a text with token ${begin}, the model with ${config.beginToken}`);
  }
  if (end !== undefined && config.endTokens.length > 0 && !config.endTokens.includes(end)) {
    doubts.push(`it ends a text with token ${end}, the model with ${config.endTokens.join(" or ")}`);
  }
  return doubts.map((doubt) => `The tokenizer of ${where} may be another model's: ${doubt}`);
}
