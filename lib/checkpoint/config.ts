/**
 * What a decoder is, as plain data: read from the config.json of a Hugging Face checkpoint. One decoder serves every
 * family; a feature that it does not have is refused by name before anything long starts.
 */

import * as z from "zod/mini";
import { InputError } from "../runtime/errors.ts";
import { parseRope, type Rope } from "./_rope_config.ts";
import { slidingWindow } from "./_sliding_window.ts";

/** The families that are understood, by their `model_type`. */
export const modelTypes = ["llama", "mistral", "qwen2", "qwen3", "gpt2"] as const;

/** One of {@linkcode modelTypes}. */
export type ModelType = typeof modelTypes[number];

/** A causal decoder; sizes count elements, heads or tokens. */
export interface DecoderConfig {
  /** The family, as config.json names it. */
  readonly modelType: ModelType;
  /** Rows of the embedding: ids run from 0 to vocabularySize − 1. */
  readonly vocabularySize: number;
  /** Width of the residual stream, D. */
  readonly hiddenSize: number;
  /** Width inside the feed-forward part, F. */
  readonly intermediateSize: number;
  /** Number of layers. */
  readonly layers: number;
  /** Query heads, H. */
  readonly heads: number;
  /** Key and value heads; divides `heads`. */
  readonly kvHeads: number;
  /** Dimensions of a head; H · headDim need not be D. */
  readonly headDim: number;
  /** Longest sequence in tokens. */
  readonly maxPositions: number;
  /** `rms`: x/√(mean x² + ε)·w. `layer`: (x − mean)/√(var + ε)·w + b. */
  readonly norm: "rms" | "layer";
  /** ε of the norms. */
  readonly normEpsilon: number;
  /** `rope`: queries and keys are rotated. `learned`: a row for each position is added to the embedding. */
  readonly positions: "rope" | "learned";
  /** Set where `positions` is `rope`. */
  readonly rope?: Rope;
  /** `swiglu`: silu(gate)·up. `gelu_new`: GELU in its tanh form, on one projection. */
  readonly activation: "swiglu" | "gelu_new";
  /** Which projections have a bias: q, k and v; the one after attention; those of the feed-forward part. */
  readonly bias: { readonly qkv: boolean; readonly output: boolean; readonly mlp: boolean };
  /** Whether each head's query and key go through an RMS norm before they are rotated. */
  readonly qkNorm: boolean;
  /** A query at position i sees the keys j with i − j < slidingWindow; 0 means all before it. */
  readonly slidingWindow: number;
  /** Whether the head's weight is the embedding. */
  readonly tiedHead: boolean;
  /** Whether the checkpoint keeps the weights of the layers as [in, out] (GPT-2's Conv1D). */
  readonly transposedWeights: boolean;
  /** Id of the token that starts a sequence. */
  readonly beginToken?: number | undefined;
  /** Ids that end a sequence; training appends the first. */
  readonly endTokens: readonly number[];
  /** What the checkpoint says its weights are kept in, such as `bfloat16`. */
  readonly torchDtype?: string | undefined;
  /** config.json as it was read, for writing it back. */
  readonly raw: Readonly<Record<string, unknown>>;
}

const integer = { error: "a positive integer" }, number = { error: "a positive number" };
const count = z.int(integer).check(z.positive(integer));
const positive = z.number(number).check(z.positive(number));
const flag = z.nullish(z.boolean({ error: "true or false" }));
const token = z.int({ error: "a token id" }).check(z.nonnegative({ error: "a token id" }));
const word = z.string({ error: "a string" });

const shared = {
  vocab_size: count,
  tie_word_embeddings: flag,
  bos_token_id: z.nullish(token),
  eos_token_id: z.nullish(z.union([token, z.array(token)], { error: "a token id or a list of them" })),
  torch_dtype: z.nullish(word),
  dtype: z.nullish(word),
};
const sharedSchema = z.looseObject(shared);

const llamaSchema = z.looseObject({
  ...shared,
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  num_key_value_heads: z.nullish(count),
  head_dim: z.nullish(count),
  max_position_embeddings: count,
  rms_norm_eps: z._default(positive, 1e-6),
  hidden_act: z._default(word, "silu"),
  attention_bias: flag,
  mlp_bias: flag,
  sliding_window: z.nullish(count),
  use_sliding_window: flag,
  max_window_layers: z.nullish(z.int({ error: "an integer" })),
  layer_types: z.nullish(z.array(word, { error: "a list of strings" })),
});

const gpt2Schema = z.looseObject({
  ...shared,
  n_embd: count,
  n_layer: count,
  n_head: count,
  n_positions: count,
  n_inner: z.nullish(count),
  layer_norm_epsilon: z._default(positive, 1e-5),
  activation_function: z._default(word, "gelu_new"),
});

/**
 * Reads config.json's content: families llama, mistral, qwen2, qwen3 and gpt2, with the defaults that transformers
 * gives to a field that is left out.
 *
 * Both spellings of newer and older transformers are understood: `dtype` and `torch_dtype`, `rope_parameters` and
 * `rope_theta` with `rope_scaling`. Dropout probabilities are not used.
 *
 * Throws InputError, naming field or feature, for a field of the wrong kind, sizes that do not go together, an
 * unknown `model_type`, and what the decoder does not have (experts, other kinds of RoPE, other activations, windows
 * on some layers only, quantised weights).
 *
 * @param where the file's path, for errors
 */
export function parseConfig(json: unknown, where: string): DecoderConfig {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new InputError(`Cannot read ${where}: expected a JSON object`);
  }
  const raw = json as Record<string, unknown>;
  const type = raw.model_type;
  if (!(modelTypes as readonly unknown[]).includes(type)) {
    throw new InputError(
      `Cannot read ${where}: field "model_type" must be one of ${modelTypes.join(", ")}: ` +
        `got ${JSON.stringify(type)}`,
    );
  }
  for (const field of ["quantization_config", "num_local_experts", "num_experts", "add_cross_attention"]) {
    if (raw[field]) throw unsupported(where, { field, found: raw[field] });
  }
  const config = type === "gpt2" ? parseGpt2(raw, where) : parseLlama(raw, where, type as ModelType);
  check(config, where);
  return config;
}

function parseLlama(raw: Record<string, unknown>, where: string, modelType: ModelType): DecoderConfig {
  const json = validated(llamaSchema, raw, where);
  if (json.hidden_act !== "silu" && json.hidden_act !== "swish") {
    throw unsupported(where, { field: "hidden_act", found: json.hidden_act, expected: "silu" });
  }
  const heads = json.num_attention_heads;
  if (!json.head_dim && json.hidden_size % heads !== 0) {
    throw new InputError(
      `Cannot read ${where}: hidden_size must be a multiple of num_attention_heads: got ${json.hidden_size} ` +
        `and ${heads}`,
    );
  }
  // Qwen2 always has biases on q, k and v and never on the output; in the others one switch serves all four.
  const attentionBias = (modelType === "llama" || modelType === "qwen3") && json.attention_bias === true;
  return {
    modelType,
    vocabularySize: json.vocab_size,
    hiddenSize: json.hidden_size,
    intermediateSize: json.intermediate_size,
    layers: json.num_hidden_layers,
    heads,
    kvHeads: json.num_key_value_heads ?? (modelType === "mistral" ? 8 : heads),
    headDim: json.head_dim ?? (modelType === "qwen3" ? 128 : json.hidden_size / heads),
    maxPositions: json.max_position_embeddings,
    norm: "rms",
    normEpsilon: json.rms_norm_eps,
    positions: "rope",
    rope: parseRope(raw, where),
    activation: "swiglu",
    bias: {
      qkv: attentionBias || modelType === "qwen2",
      output: attentionBias,
      mlp: modelType === "llama" && json.mlp_bias === true,
    },
    qkNorm: modelType === "qwen3",
    slidingWindow: slidingWindow({ ...json, model_type: modelType }, where),
    tiedHead: json.tie_word_embeddings ?? false,
    transposedWeights: false,
    ...tokensAndDtype(json),
    raw,
  };
}

function parseGpt2(raw: Record<string, unknown>, where: string): DecoderConfig {
  const json = validated(gpt2Schema, raw, where);
  // Two names of one formula.
  if (json.activation_function !== "gelu_new" && json.activation_function !== "gelu_pytorch_tanh") {
    throw unsupported(where, {
      field: "activation_function",
      found: json.activation_function,
      expected: "gelu_new",
    });
  }
  if (raw.scale_attn_weights === false) {
    throw unsupported(where, { field: "scale_attn_weights", found: false });
  }
  if (raw.scale_attn_by_inverse_layer_idx) {
    throw unsupported(where, { field: "scale_attn_by_inverse_layer_idx", found: true });
  }
  if (json.n_embd % json.n_head !== 0) {
    throw new InputError(
      `Cannot read ${where}: n_embd must be a multiple of n_head: got ${json.n_embd} and ${json.n_head}`,
    );
  }
  return {
    modelType: "gpt2",
    vocabularySize: json.vocab_size,
    hiddenSize: json.n_embd,
    intermediateSize: json.n_inner ?? 4 * json.n_embd,
    layers: json.n_layer,
    heads: json.n_head,
    kvHeads: json.n_head,
    headDim: json.n_embd / json.n_head,
    maxPositions: json.n_positions,
    norm: "layer",
    normEpsilon: json.layer_norm_epsilon,
    positions: "learned",
    activation: "gelu_new",
    bias: { qkv: true, output: true, mlp: true },
    qkNorm: false,
    slidingWindow: 0,
    tiedHead: json.tie_word_embeddings ?? true,
    transposedWeights: true,
    ...tokensAndDtype(json),
    raw,
  };
}

/** What all families say the same way. */
function tokensAndDtype(
  json: z.infer<typeof sharedSchema>,
): Pick<DecoderConfig, "beginToken" | "endTokens" | "torchDtype"> {
  const end = json.eos_token_id;
  return {
    beginToken: json.bos_token_id ?? undefined,
    endTokens: end === null || end === undefined ? [] : Array.isArray(end) ? end : [end],
    torchDtype: json.dtype ?? json.torch_dtype ?? undefined,
  };
}

/** The same decoder with a head of its own. */
export function untiedConfig(config: DecoderConfig): DecoderConfig {
  return { ...config, tiedHead: false, raw: { ...config.raw, tie_word_embeddings: false } };
}

function check(config: DecoderConfig, where: string): void {
  const { heads, kvHeads, headDim, vocabularySize } = config;
  if (heads % kvHeads !== 0) {
    throw new InputError(
      `Cannot read ${where}: num_attention_heads must be a multiple of num_key_value_heads: got ${heads} ` +
        `and ${kvHeads}`,
    );
  }
  if (config.positions === "rope" && headDim % 2 !== 0) {
    throw new InputError(
      `Cannot read ${where}: RoPE needs an even number of dimensions a head: got ${headDim}`,
    );
  }
  for (const id of [config.beginToken ?? 0, ...config.endTokens]) {
    if (id >= vocabularySize) {
      throw new InputError(
        `Cannot read ${where}: token ids must be below vocab_size ${vocabularySize}: got ${id} in ` +
          `bos_token_id or eos_token_id`,
      );
    }
  }
}

function validated<T>(schema: z.ZodMiniType<T>, raw: Record<string, unknown>, where: string): T {
  const result = schema.safeParse(raw);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0];
  let found: unknown = raw;
  for (const key of path) found = (found as Record<PropertyKey, unknown>)[key];
  throw new InputError(
    `Cannot read ${where}: field "${path.join(".")}" must be ${message}: got ${
      JSON.stringify(found) ?? "nothing"
    }`,
  );
}

function unsupported(
  where: string,
  { field, found, expected }: {
    readonly field: string;
    readonly found: unknown;
    readonly expected?: string | undefined;
  },
): InputError {
  const hint = expected ? `, expected ${expected}` : "";
  return new InputError(
    `Cannot read ${where}: ${field} ${JSON.stringify(found).slice(0, 80)} is not supported${hint}`,
  );
}
