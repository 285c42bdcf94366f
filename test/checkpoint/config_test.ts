import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../../lib/checkpoint/config.ts";
import { isBuffer, parameterPlan, partShape } from "../../lib/checkpoint/parameter_plan.ts";
import { ropeFrequencies } from "../../lib/model/rope_frequencies.ts";
import { InputError } from "../../lib/runtime/errors.ts";

const llama = {
  model_type: "llama",
  vocab_size: 10,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
  bos_token_id: 1,
  eos_token_id: [2, 3],
};
const gpt2 = { model_type: "gpt2", vocab_size: 10, n_embd: 8, n_layer: 1, n_head: 2, n_positions: 16 };
const parse = (fields: object) => parseConfig({ ...llama, ...fields }, "config.json");

function refused(json: unknown, message: string): void {
  assert.throws(() => parseConfig(json, "config.json"), (error: Error) => {
    assert.ok(error instanceof InputError, `${error}`);
    assert.equal(error.message, `Cannot read config.json: ${message}`);
    return true;
  });
}

test("a llama config with the defaults of transformers", () => {
  const { raw, ...config } = parseConfig(llama, "config.json");
  assert.equal(raw, llama);
  assert.deepEqual(config, {
    modelType: "llama",
    vocabularySize: 10,
    hiddenSize: 8,
    intermediateSize: 12,
    layers: 1,
    heads: 4,
    kvHeads: 2,
    headDim: 2,
    maxPositions: 64,
    norm: "rms",
    normEpsilon: 1e-6,
    positions: "rope",
    rope: { theta: 10000 },
    activation: "swiglu",
    bias: { qkv: false, output: false, mlp: false },
    qkNorm: false,
    slidingWindow: 0,
    tiedHead: false,
    transposedWeights: false,
    beginToken: 1,
    endTokens: [2, 3],
    torchDtype: undefined,
  });
});

test("what each family has of its own", () => {
  assert.deepEqual(parse({ attention_bias: true, mlp_bias: true }).bias, {
    qkv: true,
    output: true,
    mlp: true,
  });
  assert.deepEqual(parse({ model_type: "qwen2" }).bias, { qkv: true, output: false, mlp: false });
  assert.deepEqual(parse({ model_type: "qwen3", attention_bias: false }).bias, {
    qkv: false,
    output: false,
    mlp: false,
  });
  assert.equal(parse({ model_type: "qwen3", head_dim: 6 }).headDim, 6);
  assert.equal(parse({ model_type: "qwen3" }).qkNorm, true);
  assert.equal(parse({ num_key_value_heads: undefined }).kvHeads, 4);
  const gpt = parseConfig(gpt2, "config.json");
  assert.equal(gpt.intermediateSize, 32);
  assert.equal(gpt.tiedHead, true);
  assert.equal(gpt.rope, undefined);
  assert.deepEqual(gpt.endTokens, []);
});

test("sliding windows", () => {
  const mistral = (fields: object) => parse({ model_type: "mistral", ...fields }).slidingWindow;
  assert.equal(mistral({ sliding_window: 9 }), 9);
  assert.equal(mistral({ sliding_window: null }), 0);
  assert.equal(mistral({}), 4096);
  const qwen = (fields: object) => parse({ model_type: "qwen2", sliding_window: 9, ...fields }).slidingWindow;
  assert.equal(qwen({}), 0);
  assert.equal(qwen({ use_sliding_window: true, max_window_layers: 1 }), 0);
  assert.equal(qwen({ use_sliding_window: true, max_window_layers: 0 }), 9);
  assert.equal(qwen({ use_sliding_window: true, layer_types: ["sliding_attention"] }), 9);
  refused(
    {
      ...llama,
      model_type: "qwen2",
      num_hidden_layers: 3,
      sliding_window: 9,
      use_sliding_window: true,
      max_window_layers: 1,
    },
    "a sliding window on some layers only is not supported: got 2 of 3 (use_sliding_window, max_window_layers, " +
      "layer_types)",
  );
});

test("kinds of layers", () => {
  const kinds = (...layer_types: string[]) => ({ ...llama, layer_types });
  assert.equal(parse(kinds("full_attention")).slidingWindow, 0);
  refused(
    kinds("linear_attention"),
    'layer_types "linear_attention" is not supported, expected full_attention or sliding_attention',
  );
  refused(kinds("full_attention", "full_attention"), "layer_types must name each of the 1 layers: got 2");
});

test("both spellings of dtype and RoPE", () => {
  const scaling = {
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 64,
  };
  const old = parse({
    torch_dtype: "bfloat16",
    rope_theta: 5e5,
    rope_scaling: { rope_type: "llama3", ...scaling },
  });
  const recent = parse({
    dtype: "bfloat16",
    rope_parameters: { rope_type: "llama3", rope_theta: 5e5, ...scaling },
  });
  assert.deepEqual({ ...old, raw: 0 }, { ...recent, raw: 0 });
  assert.equal(old.torchDtype, "bfloat16");
  assert.equal(old.rope?.theta, 5e5);
  assert.deepEqual(parse({ rope_scaling: { type: "linear", factor: 2 } }).rope?.scaling, {
    type: "linear",
    factor: 2,
  });
  assert.equal(parse({ rope_scaling: null }).rope?.scaling, undefined);
});

test("rotary frequencies by hand", () => {
  // θ = 10000, 8 dimensions: 10000^(−2i/8) = 10^−i.
  const wide = { head_dim: 8, rope_theta: 10000 };
  const near = (found: Float64Array, expected: number[]) => {
    assert.equal(found.length, expected.length);
    expected.forEach((value, i) => assert.ok(Math.abs(found[i] / value - 1) < 1e-12, `${i}: ${found[i]}`));
  };
  near(ropeFrequencies(parse(wide)), [1, 0.1, 0.01, 0.001]);
  near(ropeFrequencies(parse({ ...wide, rope_scaling: { type: "linear", factor: 4 } })), [
    0.25,
    0.025,
    0.0025,
    0.00025,
  ]);
  // L = 100·2π: the pairs turn 100, 10, 1 and 0.1 times. low = 2, high = 18: 100 is kept, 1 and 0.1 are divided by 8,
  // and 10 lies half-way: (0.1/8 + 0.1)/2 = 0.05625.
  const scaling = {
    rope_type: "llama3",
    factor: 8,
    low_freq_factor: 2,
    high_freq_factor: 18,
    original_max_position_embeddings: 200 * Math.PI,
  };
  near(ropeFrequencies(parse({ ...wide, rope_scaling: scaling })), [1, 0.05625, 0.00125, 0.000125]);
  assert.equal(ropeFrequencies(parseConfig(gpt2, "config.json")).length, 0);
});

test("what is not supported is refused by name", () => {
  refused([], "expected a JSON object");
  refused(
    { ...llama, model_type: "mixtral" },
    'field "model_type" must be one of llama, mistral, qwen2, qwen3, gpt2: got "mixtral"',
  );
  refused({ ...llama, hidden_size: "8" }, 'field "hidden_size" must be a positive integer: got "8"');
  refused(
    { ...llama, hidden_size: undefined },
    'field "hidden_size" must be a positive integer: got nothing',
  );
  refused(
    { ...llama, eos_token_id: [2, "x"] },
    'field "eos_token_id" must be a token id or a list of them: got [2,"x"]',
  );
  refused({ ...llama, hidden_act: "gelu" }, 'hidden_act "gelu" is not supported, expected silu');
  refused({ ...llama, num_local_experts: 8 }, "num_local_experts 8 is not supported");
  refused(
    { ...llama, quantization_config: { bits: 4 } },
    'quantization_config {"bits":4} is not supported',
  );
  refused(
    { ...llama, rope_scaling: { rope_type: "yarn", factor: 2 } },
    'rope_type "yarn" is not supported, expected default, linear or llama3',
  );
  refused({ ...llama, partial_rotary_factor: 0.5 }, "partial_rotary_factor 0.5 is not supported, expected 1");
  refused(
    { ...llama, rope_scaling: { type: "linear" } },
    'field "rope_scaling.factor" must be a positive number: got nothing',
  );
  refused({ ...llama, hidden_size: 9 }, "hidden_size must be a multiple of num_attention_heads: got 9 and 4");
  refused(
    { ...llama, num_key_value_heads: 3 },
    "num_attention_heads must be a multiple of num_key_value_heads: got 4 and 3",
  );
  refused({ ...llama, head_dim: 3 }, "RoPE needs an even number of dimensions a head: got 3");
  refused(
    { ...llama, bos_token_id: 10 },
    "token ids must be below vocab_size 10: got 10 in bos_token_id or eos_token_id",
  );
  refused(
    { ...gpt2, activation_function: "relu" },
    'activation_function "relu" is not supported, expected gelu_new',
  );
});

test("the plan of a llama layer with biases", () => {
  const plan = parameterPlan(parse({ attention_bias: true, tie_word_embeddings: true }));
  assert.deepEqual(plan.map(({ name, shape, decay }) => [name, shape.join("×"), decay]), [
    ["embedding", "10×8", true],
    ["layers.0.norm1", "8", false],
    ["layers.0.qkv", "16×8", true],
    ["layers.0.qkv_bias", "16", false],
    ["layers.0.output", "8×8", true],
    ["layers.0.output_bias", "8", false],
    ["layers.0.norm2", "8", false],
    ["layers.0.gate_up", "24×8", true],
    ["layers.0.down", "8×12", true],
    ["norm", "8", false],
  ]);
  const qkv = plan.find(({ name }) => name === "layers.0.qkv")!;
  assert.deepEqual(qkv.parts, [
    { tensor: "model.layers.0.self_attn.q_proj.weight", rows: 8, transposed: false },
    { tensor: "model.layers.0.self_attn.k_proj.weight", rows: 4, transposed: false },
    { tensor: "model.layers.0.self_attn.v_proj.weight", rows: 4, transposed: false },
  ]);
  assert.deepEqual(partShape(qkv, qkv.parts[1]), [4, 8]);
});

test("the plan follows the names that are there", () => {
  const config = parseConfig(gpt2, "config.json");
  const names = (present?: Set<string>) => parameterPlan(config, present).map(({ parts }) => parts[0].tensor);
  assert.equal(names()[0], "transformer.wte.weight");
  assert.equal(names(new Set(["wte.weight"]))[4], "h.0.attn.c_attn.weight");
  const up = parameterPlan(config).find(({ name }) => name === "layers.0.up")!;
  assert.deepEqual([up.shape, up.parts[0].transposed, partShape(up, up.parts[0])], [[32, 8], true, [8, 32]]);
  // A tied head that is stored all the same goes with the embedding.
  const tied = parameterPlan(config, new Set(["wte.weight", "lm_head.weight"]));
  assert.deepEqual(tied[0].copies, ["lm_head.weight"]);
  assert.equal(tied.some(({ name }) => name === "head"), false);
});

test("constants of older formats", () => {
  assert.ok(isBuffer("h.0.attn.bias") && isBuffer("transformer.h.3.attn.masked_bias"));
  assert.ok(isBuffer("model.layers.0.self_attn.rotary_emb.inv_freq"));
  assert.ok(!isBuffer("h.0.attn.c_attn.bias") && !isBuffer("h.0.ln_1.bias"));
});
