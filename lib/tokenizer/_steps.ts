/**
 * The steps of a tokenizer.json (normalizer, pre_tokenizer, decoder, post_processor), held against what
 * `@huggingface/tokenizers` reads before it sees them: kinds, fields, and how much longer they may make a text.
 */

import * as z from "zod/mini";
import { InputError } from "../runtime/errors.ts";
import { knownPatterns } from "./_known_patterns.ts";

/** Steps in all, and sequences in each other. */
const MOST_STEPS = 200, DEEPEST = 8;
/** Characters of a pattern, and of what is put into a text. */
const LONGEST_PATTERN = 10_000, LONGEST_TEXT = 1024;
/** How many times as long as it was a text may become. */
const MOST_GROWTH = 64;

const as = <T extends z.ZodMiniType>(schema: T) => z.nullish(schema);
const flag = as(z.boolean({ error: "true or false" }));
const text = z.string({ error: "a string" }).check(
  z.maxLength(LONGEST_TEXT, { error: `a string of at most ${LONGEST_TEXT} characters` }),
);
const filled = text.check(z.minLength(1, { error: "a string that is not empty" }));
const count = z.int({ error: "an integer" }).check(z.nonnegative({ error: "an integer from 0 on" }));
const positive = z.int({ error: "a positive integer" }).check(z.positive({ error: "a positive integer" }));
const source = z.string().check(z.maxLength(LONGEST_PATTERN));
const pattern = z.union([z.looseObject({ Regex: source }), z.looseObject({ String: source })], {
  error: `{ "Regex": … } or { "String": … } of at most ${LONGEST_PATTERN} characters`,
});
const id = z.int({ error: "a token id" }).check(z.nonnegative({ error: "a token id" }));
const token = z.tuple([z.string(), id], { error: "a token and its id" });
const piece = z.union([
  z.looseObject({ SpecialToken: z.looseObject({ id: text }) }),
  z.looseObject({ Sequence: z.looseObject({ id: z.enum(["A", "B"]) }) }),
], { error: '{ "SpecialToken": { "id": … } } or { "Sequence": { "id": "A" or "B" } }' });
const pieces = z.array(piece, { error: "a list" });
const special = z.looseObject({
  ids: z.array(id, { error: "a list of token ids" }),
  tokens: as(z.array(z.string(), { error: "a list of strings" })),
}, { error: "an object" });

type Fields = Readonly<Record<string, z.ZodMiniType>>;
const byteLevel: Fields = { add_prefix_space: flag, trim_offsets: flag, use_regex: flag };
const metaspace: Fields = {
  replacement: as(filled),
  str_rep: as(text),
  prepend_scheme: as(z.enum(["always", "first", "never"], { error: "always, first or never" })),
  add_prefix_space: flag,
  split: flag,
};
const replace: Fields = { pattern, content: as(text) };
const around: Fields = { sep: token, cls: token };

/** By part: the kinds of steps with their fields, and the field of a Sequence that holds its steps. */
const parts = {
  normalizer: {
    list: "normalizers",
    kinds: {
      BertNormalizer: { clean_text: flag, handle_chinese_chars: flag, strip_accents: flag, lowercase: flag },
      Precompiled: { precompiled_charsmap: as(z.string({ error: "a string" })) },
      Replace: replace,
      NFC: {},
      NFD: {},
      NFKC: {},
      NFKD: {},
      Strip: { strip_left: flag, strip_right: flag },
      StripAccents: {},
      Lowercase: {},
      Prepend: { prepend: text },
    },
  },
  pre_tokenizer: {
    list: "pretokenizers",
    kinds: {
      BertPreTokenizer: {},
      Whitespace: {},
      WhitespaceSplit: {},
      Metaspace: metaspace,
      ByteLevel: byteLevel,
      Split: { pattern, behavior: as(text), invert: flag },
      Punctuation: { behavior: as(text) },
      Digits: { individual_digits: flag },
      Replace: replace,
      FixedLength: { length: positive },
    },
  },
  decoder: {
    list: "decoders",
    kinds: {
      ByteLevel: byteLevel,
      WordPiece: { prefix: text, cleanup: flag },
      Metaspace: metaspace,
      BPEDecoder: { suffix: as(text) },
      CTC: { pad_token: as(text), word_delimiter_token: as(text), cleanup: flag },
      Replace: replace,
      Fuse: {},
      Strip: { content: as(text), start: as(count), stop: as(count) },
      ByteFallback: {},
    },
  },
  post_processor: {
    list: "processors",
    kinds: {
      TemplateProcessing: {
        single: pieces,
        pair: as(pieces),
        special_tokens: as(z.record(z.string(), special, { error: "an object of special tokens" })),
      },
      ByteLevel: byteLevel,
      BertProcessing: around,
      RobertaProcessing: around,
    },
  },
} as const satisfies Record<string, { list: string; kinds: Readonly<Record<string, Fields>> }>;

/** One of the parts that are made of steps. */
export type StepsPart = keyof typeof parts;
/** All of them. */
export const stepParts = Object.keys(parts) as StepsPart[];

/** What a part was found to be. */
export interface CheckedSteps {
  /** The steps, as the library takes them; null for none. */
  readonly steps: Record<string, unknown> | null;
  /** Where a regular expression stands that is not among the known ones. */
  readonly strangers: readonly string[];
}

/**
 * Checks one part. Throws InputError that names the file, the place in it, what was found and what is read.
 *
 * @param value what the file has; null where the part does nothing
 * @param where the file's path
 */
export function checkSteps(part: StepsPart, value: unknown, where: string): CheckedSteps {
  const { list, kinds } = parts[part], names = ["Sequence", ...Object.keys(kinds)];
  const strangers: string[] = [];
  let steps = 0, growth = 1, unicode = false;
  const wrong = (place: string, expected: string, found: unknown) =>
    new InputError(
      `Cannot read ${where}: ${place} must be ${expected}: got ${JSON.stringify(found) ?? "nothing"}`,
    );
  const visit = (step: unknown, place: string, depth: number): Record<string, unknown> | null => {
    if (step === null) return null;
    if (typeof step !== "object" || Array.isArray(step)) throw wrong(place, "an object, or null", step);
    const { type } = step as { type?: unknown }, fields = step as Record<string, unknown>;
    if (typeof type !== "string" || !names.includes(type)) {
      throw wrong(`${place}.type`, `one of ${names.join(", ")}`, type);
    }
    if (++steps > MOST_STEPS) throw wrong(part, `of at most ${MOST_STEPS} steps`, "more");
    if (depth > DEEPEST) throw wrong(part, `at most ${DEEPEST} sequences deep`, "more");
    if (type === "Sequence") {
      const inner = fields[list];
      if (!Array.isArray(inner)) throw wrong(`${place}.${list}`, "a list of steps", inner);
      return {
        ...fields,
        [list]: inner.map((one, i) => visitInner(one, `${place}.${list}[${i}]`, depth + 1)),
      };
    }
    for (const [field, schema] of Object.entries((kinds as Readonly<Record<string, Fields>>)[type]!)) {
      const { error } = schema.safeParse(fields[field]);
      if (!error) continue;
      const [{ path, message }] = error.issues as [z.core.$ZodIssue];
      const found = path.reduce<unknown>(
        (at, key) => (at as Record<PropertyKey, unknown>)?.[key],
        fields[field],
      );
      const inside = path.map((key) => typeof key === "number" ? `[${key}]` : `.${String(key)}`).join("");
      throw wrong(`${place}.${field}${inside}`, message, found);
    }
    const { Regex: expression } = (fields.pattern ?? {}) as { Regex?: string };
    if (expression !== undefined && !knownPatterns.has(expression)) strangers.push(`${place}.pattern`);
    const folds = /^(?:Bert|NF|Precompiled)/.test(type);
    // What Unicode composes or decomposes once, a second time it leaves alone.
    if (!folds || !unicode) growth *= growthOf(part, fields);
    unicode ||= folds;
    if (growth > MOST_GROWTH) {
      throw new InputError(
        `Cannot read ${where}: ${part} may make a text more than ${MOST_GROWTH} times as long, which is the most that is read`,
      );
    }
    // The library would read `$&` in a content as what was matched; the format means the characters.
    return typeof fields.content === "string" && type === "Replace"
      ? { ...fields, content: fields.content.replaceAll("$", "$$$$") }
      : fields;
  };
  const visitInner = (step: unknown, place: string, depth: number) => {
    if (step === null && (part === "decoder" || part === "post_processor")) {
      throw wrong(place, "an object with a type", step);
    }
    return visit(step, place, depth);
  };
  return { steps: visit(value, part, 0), strangers };
}

/** How many times as long as it was a step may make a text. */
function growthOf(part: StepsPart, step: Readonly<Record<string, unknown>>): number {
  const { type, pattern, content, str_rep: shown, suffix } = step as Readonly<
    Record<string, string | undefined>
  >;
  switch (type) {
    case "Replace": {
      const { Regex: expression, String: literal } = pattern as { Regex?: string; String?: string };
      const length = content?.length ?? 0;
      if (expression === undefined && literal) return Math.max(1, length / literal.length);
      return Math.max(1, length) + (expression !== undefined && consumes(expression) ? 0 : length);
    }
    case "ByteLevel":
      return part === "pre_tokenizer" ? 3 : 1; // a character of three bytes
    case "Metaspace":
      return Math.max(1, shown?.length ?? 1);
    case "BPEDecoder":
      return suffix ? 1 : 2;
    case "NFKC":
    case "NFKD":
    case "Precompiled":
      return 18; // U+FDFA
    case "NFC":
    case "NFD":
    case "BertNormalizer":
      return 4;
    default:
      return 1;
  }
}

/** Whether every match is of one character or more: without assertions, what can be empty anywhere is so in an empty text. */
function consumes(expression: string): boolean {
  if (/\\[AzZbBG]|[$^]|\(\?/.test(expression.replace(/\[\^/g, "["))) return false;
  try {
    return !new RegExp(expression, "u").test("");
  } catch {
    return false;
  }
}
