/** What the families may have and no golden checkpoint shows, against the formulas written out in float64. */

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadModel } from "../../lib/model/load_model.ts";
import { writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { assertClose, gaussian, onBothBackends } from "../_backends.ts";
import { freshPath } from "../_models.ts";
import { plainLogits, plainLoss, type RawConfig } from "./_plain_decoder.ts";

const shared = {
  vocab_size: 23,
  hidden_size: 16,
  intermediate_size: 20,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 1000,
};
const ids = Array.from({ length: 14 }, (_, i) => (3 + 7 * i) % 23);

const cases: Readonly<Record<string, RawConfig>> = {
  "llama with linear RoPE, biases everywhere and wide heads": {
    ...shared,
    model_type: "llama",
    rope_scaling: { rope_type: "linear", factor: 3 },
    attention_bias: true,
    mlp_bias: true,
    head_dim: 6,
  },
  "qwen3 with biases, a norm on each head and a tied head": {
    ...shared,
    model_type: "qwen3",
    attention_bias: true,
    head_dim: 8,
    tie_word_embeddings: true,
  },
  "qwen2 with a sliding window": {
    ...shared,
    model_type: "qwen2",
    use_sliding_window: true,
    sliding_window: 5,
    max_window_layers: 0,
  },
  "mistral with heads of its own width and no window": {
    ...shared,
    model_type: "mistral",
    head_dim: 10,
    sliding_window: null,
  },
};

/** The tensors of a checkpoint of that config, by name and shape, as transformers names them. */
function shapesOf(config: RawConfig): Map<string, number[]> {
  const { hidden_size: d, intermediate_size: f, vocab_size: v } = shared;
  const headDim = config.head_dim as number | undefined ?? d / 4, all = 4 * headDim, kv = 2 * headDim;
  const family = config.model_type, shapes = new Map([["model.embed_tokens.weight", [v, d]]]);
  for (let l = 0; l < 2; l++) {
    const at = `model.layers.${l}.`;
    const add = (module: string, rows: number, columns: number, bias: unknown) => {
      shapes.set(`${at}${module}.weight`, [rows, columns]);
      if (bias) shapes.set(`${at}${module}.bias`, [rows]);
    };
    const bias = config.attention_bias;
    add("self_attn.q_proj", all, d, bias || family === "qwen2");
    add("self_attn.k_proj", kv, d, bias || family === "qwen2");
    add("self_attn.v_proj", kv, d, bias || family === "qwen2");
    add("self_attn.o_proj", d, all, bias);
    for (const name of ["gate", "up"]) add(`mlp.${name}_proj`, f, d, config.mlp_bias);
    add("mlp.down_proj", d, f, config.mlp_bias);
    for (const name of ["input", "post_attention"]) shapes.set(`${at}${name}_layernorm.weight`, [d]);
    if (family === "qwen3") {
      for (const name of "qk") shapes.set(`${at}self_attn.${name}_norm.weight`, [headDim]);
    }
  }
  shapes.set("model.norm.weight", [d]);
  if (!config.tie_word_embeddings) shapes.set("lm_head.weight", [v, d]);
  return shapes;
}

async function write(config: RawConfig): Promise<{ directory: string; tensors: Map<string, Float32Array> }> {
  const directory = freshPath(), tensors = new Map<string, Float32Array>(), shapes = shapesOf(config);
  for (const [name, shape] of shapes) {
    const values = gaussian(shape.reduce((a, b) => a * b, 1), tensors.size + 1);
    // Large enough that attention is far from even, and no norm or bias is near what it would be without.
    tensors.set(name, values.map((x) => /norm/.test(name) ? 1 + 0.3 * x : 0.4 * x));
  }
  mkdirSync(directory);
  writeFileSync(join(directory, "config.json"), JSON.stringify(config));
  await writeSafetensors(
    join(directory, "model.safetensors"),
    [...shapes].map(([name, shape]) => ({
      name,
      dtype: "F32" as const,
      shape,
      bytes: () => new Uint8Array(tensors.get(name)!.buffer),
    })),
  );
  return { directory, tensors };
}

for (const [name, config] of Object.entries(cases)) {
  onBothBackends(`${name}: logits and gradients`, async (backend) => {
    const { directory, tensors } = await write(config), model = await loadModel(directory, { backend });
    assertClose(await model.logits(ids), plainLogits(config, tensors, ids).flat(), 1e-5, "logits");
    const gradients = await model.gradients(ids);
    model.dispose();
    assert.deepEqual([...gradients.keys()].sort(), [...tensors.keys()].sort());
    for (const [tensor, gradient] of gradients) {
      const values = tensors.get(tensor)!, step = 1e-4;
      const slope = (along: ArrayLike<number>) => {
        const lossAt = (t: number) =>
          plainLoss(
            config,
            new Map<string, ArrayLike<number>>(tensors).set(
              tensor,
              Float64Array.from(values, (v, i) => v + t * along[i]),
            ),
            ids,
          );
        return (lossAt(step) - lossAt(-step)) / (2 * step);
      };
      const norm = Math.hypot(...gradient), most = Math.max(...gradient.map(Math.abs));
      // Along the gradient itself the slope is its norm; along a direction of its own, the projection on it.
      const other = gaussian(values.length, 99),
        projected = gradient.reduce((sum, g, i) => sum + g * other[i], 0);
      assert.ok(Math.abs(slope(gradient.map((g) => g / norm)) - norm) < 1e-3 * norm + 1e-6, tensor);
      assert.ok(Math.abs(slope(other) - projected) < 1e-3 * norm + 1e-6, tensor);
      assert.ok(most > 1e-6, `${tensor} has no gradient`);
    }
  });
}
