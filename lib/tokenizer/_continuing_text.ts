/**
 * A tokenizer for text that continues another.
 *
 * Tokenizers of SentencePiece's kind put a blank before a text and take one away when they decode. In the middle of a
 * sequence both are wrong, so the same tokenizer without these two steps serves there.
 */

/** A step of a tokenizer.json: a normalizer, pre-tokenizer or decoder. */
export interface Step {
  /** Which step. */
  readonly type: string;
  /** Its settings. */
  readonly [field: string]: unknown;
}

/** The parts of a tokenizer.json that matter here. */
export interface TokenizerJson {
  /** Changes the text before it is cut. */
  readonly normalizer: Step | null;
  /** Cuts it into words. */
  readonly pre_tokenizer: Step | null;
  /** Joins tokens to text. */
  readonly decoder: Step | null;
  /** The rest. */
  readonly [field: string]: unknown;
}

/** The tokenizer.json of the continuing tokenizer, or undefined when the given one already is. */
export function continuing(json: TokenizerJson): TokenizerJson | undefined {
  const normalizer = rewrite(json.normalizer ?? null, withoutPrefix);
  const pre_tokenizer = rewrite(json.pre_tokenizer ?? null, withoutPrefix);
  const decoder = rewrite(json.decoder ?? null, keepingBlank);
  const same = normalizer === json.normalizer && pre_tokenizer === json.pre_tokenizer &&
    decoder === json.decoder;
  return same ? undefined : { ...json, normalizer, pre_tokenizer, decoder };
}

/** A normalizer or pre-tokenizer that puts nothing before the text. */
function withoutPrefix(step: Step): Step | null {
  switch (step.type) {
    case "Prepend":
      return null;
    case "Metaspace":
      return step.prepend_scheme === "never" ? step : { ...step, prepend_scheme: "never" };
    case "ByteLevel":
      return step.add_prefix_space ? { ...step, add_prefix_space: false } : step;
    default:
      return step;
  }
}

/** A decoder that takes no blank away from the beginning. */
function keepingBlank(step: Step): Step | null {
  switch (step.type) {
    case "Strip":
      return step.start ? { ...step, start: 0 } : step;
    case "Metaspace": {
      const replacement = step.replacement ?? "▁";
      return { type: "Replace", pattern: { String: replacement }, content: " " };
    }
    default:
      return step;
  }
}

/** Applies a change to a step, or to each of a sequence; gives the same object back when nothing changed. */
function rewrite(step: Step | null, change: (step: Step) => Step | null): Step | null {
  if (step === null) return null;
  for (const list of ["normalizers", "pretokenizers", "decoders"]) {
    const steps = step[list];
    if (step.type !== "Sequence" || !Array.isArray(steps)) continue;
    const changed = steps.map((inner: Step) => rewrite(inner, change));
    if (changed.every((inner, i) => inner === steps[i])) return step;
    return { ...step, [list]: changed.filter((inner) => inner !== null) };
  }
  return change(step);
}
