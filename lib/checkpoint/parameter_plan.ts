/**
 * How a checkpoint's tensors make up the parameters that the kernels use.
 *
 * q, k and v are one matrix here, gate and up another: one product instead of three or two. Every matrix is
 * [out, in], so each of the checkpoint's tensors is a contiguous run of rows of its parameter, and rows can be given
 * back to it without knowing anything about attention.
 */

import type { DecoderConfig } from "./config.ts";

/** One of the checkpoint's tensors, as a run of rows of a parameter. */
export interface Part {
  /** Name in the checkpoint. */
  readonly tensor: string;
  /** Rows of the parameter that it fills (elements, for a vector). */
  readonly rows: number;
  /** Whether the checkpoint keeps it as [in, rows]. */
  readonly transposed: boolean;
}

/** A parameter of the decoder. */
export interface Parameter {
  /**
   * `embedding` [V, D], `positions` [P, D], `head` [V, D] (absent when tied), `norm`, `norm_bias`, and in each layer
   * `layers.0.` with `norm1`, `norm1_bias`, `qkv` [(H + 2·KV)·hd, D], `qkv_bias`, `q_norm` [hd], `k_norm` [hd],
   * `output` [D, H·hd], `output_bias`, `norm2`, `norm2_bias`, `gate_up` [2F, D] or `up` [F, D], their `_bias`,
   * `down` [D, F], `down_bias`.
   */
  readonly name: string;
  /** [rows, columns], or [elements]. */
  readonly shape: readonly number[];
  /** Where its rows come from, in order. */
  readonly parts: readonly Part[];
  /** Further tensors of the checkpoint that repeat the parameter (a tied head that is stored all the same). */
  readonly copies: readonly string[];
  /** Whether weight decay applies: to matrices, not to norms and biases. */
  readonly decay: boolean;
}

/** Shape of one of the parameter's tensors in the checkpoint. */
export function partShape(parameter: Parameter, part: Part): readonly number[] {
  if (parameter.shape.length === 1) return [part.rows];
  const columns = parameter.shape[1];
  return part.transposed ? [columns, part.rows] : [part.rows, columns];
}

/**
 * Whether a tensor is a constant that older versions of transformers stored beside the parameters: causal masks and
 * rotary frequencies. Nothing reads them; a checkpoint that is written again keeps them.
 */
export function isBuffer(tensor: string): boolean {
  return /(^|\.)(attn\.bias|attn\.masked_bias|rotary_emb\.inv_freq)$/.test(tensor);
}

/**
 * The parameters of a decoder in the order of the forward pass.
 *
 * @param present names of the checkpoint's tensors: tells whether names have their prefix (`model.`, `transformer.`)
 * and whether a tied head is stored as well; left out, the usual names are planned
 */
export function parameterPlan(config: DecoderConfig, present?: { has(name: string): boolean }): Parameter[] {
  const names = config.modelType === "gpt2" ? gpt2Names : llamaNames;
  const bare = present !== undefined && !present.has(names.prefix + names.embedding) &&
    present.has(names.embedding);
  const prefix = bare ? "" : names.prefix;
  const { vocabularySize, hiddenSize, intermediateSize, layers, heads, kvHeads, headDim, bias } = config;
  const plan: Parameter[] = [];

  const add = (
    name: string,
    { rows, tensors, columns }: {
      readonly rows: readonly number[];
      readonly tensors: readonly string[];
      readonly columns?: number | undefined;
    },
  ): void => {
    const total = rows.reduce((sum, count) => sum + count, 0);
    const matrix = columns !== undefined;
    const transposed = matrix && config.transposedWeights && name.startsWith("layers.");
    plan.push({
      name,
      shape: matrix ? [total, columns] : [total],
      parts: tensors.map((tensor, i) => ({ tensor, rows: rows[i], transposed })),
      copies: name === "embedding" && config.tiedHead && present?.has(headTensor) ? [headTensor] : [],
      decay: matrix,
    });
  };
  const norm = (name: string, tensor: string): void => {
    add(name, { rows: [hiddenSize], tensors: [`${tensor}.weight`] });
    if (config.norm === "layer") add(`${name}_bias`, { rows: [hiddenSize], tensors: [`${tensor}.bias`] });
  };

  add("embedding", { rows: [vocabularySize], tensors: [prefix + names.embedding], columns: hiddenSize });
  if (config.positions === "learned") {
    add("positions", { rows: [config.maxPositions], tensors: [`${prefix}wpe.weight`], columns: hiddenSize });
  }
  for (let layer = 0; layer < layers; layer++) {
    const to = `layers.${layer}.`, from = `${prefix}${names.layers}.${layer}.`;
    const linear = (name: string, sizes: {
      readonly rows: readonly number[];
      readonly tensors: readonly string[];
      readonly columns: number;
      readonly bias: boolean;
    }): void => {
      const tensors = (kind: string) => sizes.tensors.map((tensor) => `${from}${tensor}.${kind}`);
      add(to + name, { rows: sizes.rows, tensors: tensors("weight"), columns: sizes.columns });
      if (sizes.bias) add(`${to}${name}_bias`, { rows: sizes.rows, tensors: tensors("bias") });
    };
    const queries = heads * headDim, keys = kvHeads * headDim;
    const qkv = [queries, keys, keys], qkvRows = queries + 2 * keys;

    norm(`${to}norm1`, from + names.norm1);
    linear("qkv", {
      rows: names.qkv.length === 1 ? [qkvRows] : qkv,
      tensors: names.qkv,
      columns: hiddenSize,
      bias: bias.qkv,
    });
    if (config.qkNorm) {
      add(`${to}q_norm`, { rows: [headDim], tensors: [`${from}self_attn.q_norm.weight`] });
      add(`${to}k_norm`, { rows: [headDim], tensors: [`${from}self_attn.k_norm.weight`] });
    }
    linear("output", { rows: [hiddenSize], tensors: [names.output], columns: queries, bias: bias.output });
    norm(`${to}norm2`, from + names.norm2);
    linear(config.activation === "swiglu" ? "gate_up" : "up", {
      rows: names.up.map(() => intermediateSize),
      tensors: names.up,
      columns: hiddenSize,
      bias: bias.mlp,
    });
    linear("down", { rows: [hiddenSize], tensors: [names.down], columns: intermediateSize, bias: bias.mlp });
  }
  norm("norm", prefix + names.norm);
  if (!config.tiedHead) add("head", { rows: [vocabularySize], tensors: [headTensor], columns: hiddenSize });
  return plan;
}

const headTensor = "lm_head.weight";

const llamaNames = {
  prefix: "model.",
  embedding: "embed_tokens.weight",
  layers: "layers",
  norm1: "input_layernorm",
  qkv: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
  output: "self_attn.o_proj",
  norm2: "post_attention_layernorm",
  up: ["mlp.gate_proj", "mlp.up_proj"],
  down: "mlp.down_proj",
  norm: "norm",
};

const gpt2Names: typeof llamaNames = {
  prefix: "transformer.",
  embedding: "wte.weight",
  layers: "h",
  norm1: "ln_1",
  qkv: ["attn.c_attn"],
  output: "attn.c_proj",
  norm2: "ln_2",
  up: ["mlp.c_fc"],
  down: "mlp.c_proj",
  norm: "ln_f",
};
