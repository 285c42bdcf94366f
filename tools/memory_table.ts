/**
 * Writes docs/memory.md: what well-known models need, from the values of their config.json.
 *
 *   deno run --allow-env --allow-read tools/memory_table.ts > docs/memory.md
 */
import process from "node:process";
import { type DecoderConfig, parseConfig } from "../lib/checkpoint/config.ts";
import { type MemoryOptions, memoryPlan } from "../lib/model/memory.ts";
import type { BaseDtype } from "../lib/checkpoint/stored_bytes.ts";

/** model_type, hidden, intermediate, layers, heads, key/value heads, vocabulary, context, tied head: as published. */
const published: Readonly<Record<string, readonly [string, ...number[]]>> = {
  "SmolLM2-135M": ["llama", 576, 1536, 30, 9, 3, 49152, 8192, 1],
  "SmolLM2-360M": ["llama", 960, 2560, 32, 15, 5, 49152, 8192, 1],
  "Qwen2.5-0.5B": ["qwen2", 896, 4864, 24, 14, 2, 151936, 32768, 1],
  "Qwen2.5-1.5B": ["qwen2", 1536, 8960, 28, 12, 2, 151936, 131072, 1],
  "TinyLlama-1.1B": ["llama", 2048, 5632, 22, 32, 4, 32000, 2048, 0],
  "LLaMA-7B": ["llama", 4096, 11008, 32, 32, 32, 32000, 2048, 0],
  "LLaMA-13B": ["llama", 5120, 13824, 40, 40, 40, 32000, 2048, 0],
};

function configOf(name: string): DecoderConfig {
  const [type, hidden, intermediate, layers, heads, kvHeads, vocabulary, context, tied] = published[name];
  return parseConfig({
    model_type: type,
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    vocab_size: vocabulary,
    max_position_embeddings: context,
    tie_word_embeddings: tied === 1,
  }, name);
}

const GB = 1e9, sizes = [8, 16, 24, 80];
const dtypes: readonly BaseDtype[] = ["f32", "f16", "int8", "int4"];
const lora = { r: 16, alpha: 32 }, rows = 1024;

/** Gigabytes, and the smallest usual GPU that has them with 1 GB to spare for driver and buffer pool. */
function cell(config: DecoderConfig, options: MemoryOptions): string {
  const total = memoryPlan(config, options).bytes.total / GB, fits = sizes.find((size) => total <= size - 1);
  const digits = total < 10 ? total.toFixed(2) : total.toFixed(1);
  return `${digits} (${fits ? fits : "—"})`;
}

function table(
  heads: readonly string[],
  cells: (config: DecoderConfig, name: string) => readonly string[],
): string {
  const lines = Object.keys(published).map((name) => [name, ...cells(configOf(name), name)]);
  return [["model", ...heads], heads.map(() => "---:").toSpliced(0, 0, "---"), ...lines]
    .map((row) => `| ${row.join(" | ")} |`).join("\n");
}

/** The parameter that asks the most of a GPU's largest buffer, with its model. */
function largestParameter(): string {
  const [model, { name, bytes }] = Object.keys(published)
    .map((model) => [model, memoryPlan(configOf(model), { task: "score" }).largestParameter] as const)
    .reduce((most, next) => next[1].bytes > most[1].bytes ? next : most);
  return `${model}'s ${name}, ${(bytes / GB).toFixed(2)} GB`;
}

const train = { task: "train", recompute: true, microBatchTokens: rows } as const;
const generate = { task: "generate", slots: 24, samples: 6, promptTokens: 256, maxTokens: 256 } as const;
const parts = table(
  [
    "parameters",
    "with r=16",
    "weights f32",
    "f16",
    "int8",
    "int4",
    "moments and gradients, full",
    "activations, kept",
    "recomputed",
  ],
  (config) => {
    const full = memoryPlan(config, { ...train, recompute: false }), again = memoryPlan(config, train).bytes;
    const adapted = memoryPlan(config, { ...train, lora });
    const gb = (bytes: number) => (bytes / GB).toFixed(2);
    return [
      `${(full.parameters / 1e6).toFixed(0)} M`,
      `+${(adapted.trainable / 1e6).toFixed(1)} M`,
      ...dtypes.map((baseDtype) => gb(memoryPlan(config, { task: "score", baseDtype }).bytes.weights)),
      gb(full.bytes.gradients + full.bytes.optimizer),
      gb(full.bytes.activations),
      gb(again.activations),
    ];
  },
);

process.stdout.write(`# What fits which GPU

Written by \`deno run --allow-env --allow-read tools/memory_table.ts > docs/memory.md\`. The figures come from the
formulas in lib/model/memory.ts, for the published values of each config.json; on small models they agree with the
bytes measured within a fifth (test/model/memory_test.ts). For any model, without its weights:
\`deno task vft --model DIR --out runs/x --dry-run\` (or \`ca-align\`, \`generate\`, …) prints the same, beside the limits
of this machine's adapter.

Gigabytes (10⁹ bytes) in all; in parentheses the smallest of 8, 16, 24 and 80 GB that leaves 1 GB to spare, — where none
does.

## Training

\`--micro-batch ${rows} --recompute\`. Full training is AdamW in float32 (16 bytes a parameter). The others train a LoRA
adapter of rank ${lora.r} on all seven projections, on a frozen base kept by \`--base-dtype\`.

${
  table(
    ["full", ...dtypes.map((dtype) => `LoRA, ${dtype}`)],
    (config) => [
      cell(config, train),
      ...dtypes.map((baseDtype) => cell(config, { ...train, lora, baseDtype })),
    ],
  )
}

## Generation

24 sequences at once, six samples of each of four questions, prompts and responses of 256 tokens.

${table(dtypes, (config) => dtypes.map((baseDtype) => cell(config, { ...generate, baseDtype })))}

## Where the bytes go

GB. Activations at ${rows} rows: all products kept, or only each layer's input (\`--recompute\`, a third more work). On the CPU a training without it keeps the products of as many layers as there is room for.

${parts}

- Narrow dtypes serve the matrices of the layers; embedding, head, norms and biases stay in float32. Beside int8 and
  int4 the steps of decoding on the CPU take the head from a copy in int8, which these tables leave out.
- int8: one scale a row; int4: one scale for 32 weights, 5 bits a weight. Both are widened as they are
  multiplied, so training, scoring and prompts are exact products of what is kept. The steps of decoding on the
  CPU are not: there each row is rounded beside its weights, which makes sums of whole numbers of the products.
  Beside int8 a number is kept within max|row|/16,254, beside int4 within the largest of 32 numbers/254: a 64th
  and an 18th of what its weights may lose. Samples can differ from those of exact products.
- On WebGPU each parameter is one buffer, of at most \`maxBufferSize\` (256 MiB to several GiB, by GPU and driver):
  the largest here, in float32, is ${largestParameter()}. Weights larger than one
  binding (\`maxStorageBufferBindingSize\`) are computed by parts. \`deno task doctor\` prints both limits.
- The WASM backend's heap is 4 GiB. The moments of models of 67 million trained parameters and more lie outside
  it (8 of the 16 bytes a parameter). A run that cannot fit is refused before it starts, with the option that
  would do.
- SmolLM2-360M's shape, fine-tuned whole on the CPU, took 6.11 GB at its peak, the process and all:
  \`deno task vft --model DIR --data arithmetic --limit 4 --steps 3 --batch-size 1 --recompute --backend wasm\`
  under \`/usr/bin/time -v\` (random weights, one thread, Intel Xeon, Deno 2.9.6).
  \`test/train/large_training_test.ts\` (\`test:full\`) holds it below 6.5 GB.
`);
