/**
 * The options that several tasks share, so that each has one name, one meaning and one range everywhere.
 */

import { choice, integer, number, type Option, preset, text, texts, toggle } from "./option.ts";

/** The shared options. A task takes some with {@linkcode pick} and sets defaults with `preset` or `required`. */
export const shared = {
  model: text("--model", {
    metavar: "DIR|NAME",
    help: "Model directory, in Hugging Face layout, or ORG/NAME[@REVISION] on the hub",
  }),
  adapter: text("--adapter", { metavar: "DIR", help: "LoRA adapter to put on the model, in PEFT layout" }),
  baseDtype: preset(
    choice("--base-dtype", {
      choices: ["f32", "f16", "int8", "int4"],
      help:
        "How the layers' frozen matrices are kept: fewer bits need less memory, and on a CPU less time to decode",
    }),
    "f32",
  ),
  lora: text("--lora", {
    metavar: "r=16,…",
    help:
      "Train a low-rank adapter alone: r=16, with commas alpha=32, dropout=0 and targets=q,v (of q, k, v, o, gate, up, down); " +
      "also layers=0,1, rslora=true, save=embed_tokens,lm_head (modules trained as a whole)",
  }),
  unknownTensors: preset(
    choice("--unknown-tensors", {
      choices: ["refuse", "keep"],
      help:
        "A model with tensors that its family has no use for: refuse it, or keep and save them as they are",
    }),
    "refuse",
  ),
  out: text("--out", { metavar: "DIR", help: "Directory to write; must not exist yet" }),
  input: preset(text("--input", { metavar: "FILE", help: "JSONL to read; - is standard input" }), "-"),
  output: preset(text("--output", { metavar: "FILE", help: "JSONL to write; - is standard output" }), "-"),
  data: text("--data", {
    metavar: "NAME|FILE",
    help: "Data set, as NAME[:SPLIT], file or directory; several with commas and weights: gsm8k*2,mine.jsonl",
  }),
  backend: preset(
    choice("--backend", { choices: ["auto", "webgpu", "wasm"], help: "What computes; auto is a GPU if any" }),
    "auto",
  ),
  seed: preset(
    integer("--seed", { min: 0, max: 2 ** 32 - 1, help: "Source of every random choice" }),
    0,
  ),
  limit: integer("--limit", { help: "Take only the first N records" }),
  samples: preset(integer("--samples", { short: "-k", help: "Candidates per question" }), 6),
  maxTokens: preset(integer("--max-tokens", { help: "Longest response, in tokens" }), 256),
  temperature: preset(
    number("--temperature", { min: 0, help: "Sampling temperature; 0 takes the likeliest token" }),
    1,
  ),
  topK: preset(
    integer("--top-k", { min: 0, help: "Sample among the N likeliest tokens; 0 is all" }),
    0,
  ),
  topP: preset(
    number("--top-p", {
      above: 0,
      max: 1,
      help: "Sample among the likeliest tokens of this total probability",
    }),
    1,
  ),
  stop: texts("--stop", {
    help: "Text that ends a response; may be given several times. Default: the next question of a plain " +
      "template; none is no text",
  }),
  constraint: preset(
    choice("--constraint", {
      choices: ["none", "dc", "bc"],
      help: "Keeps negatives from being pushed too far: detached (dc) or boundary (bc)",
    }),
    "dc",
  ),
  beta: number("--beta", { min: 0, help: "Width of the boundary, in nats per token" }),
  epochs: preset(integer("--epochs", { help: "Passes over the data" }), 3),
  steps: integer("--steps", { help: "Optimizer steps, in place of --epochs" }),
  learningRate: preset(number("--learning-rate", { above: 0, help: "Peak learning rate" }), 2e-5),
  batchSize: preset(integer("--batch-size", { help: "Questions per optimizer step" }), 8),
  microBatch: preset(
    integer("--micro-batch", { help: "Tokens computed at once; less needs less memory" }),
    4096,
  ),
  recompute: toggle("--recompute", {
    help:
      "Compute every layer again in the backward pass, to need less memory; without it, on a CPU, those that do not fit",
  }),
  logEvery: integer("--log-every", {
    help: "Steps between two lines of metrics; default: about 60 lines a training",
  }),
  tensorboard: preset(
    toggle("--tensorboard", { help: "Do not write TensorBoard's events.out.tfevents beside metrics.jsonl" }),
    true,
  ),
  resume: toggle("--resume", { help: "Go on from the last checkpoint in --out" }),
  overwrite: toggle("--overwrite", { help: "Replace what is already there" }),
} as const;

/** Some of the shared options, by name. */
export function pick<K extends keyof typeof shared>(...names: readonly K[]): Pick<typeof shared, K> {
  return Object.fromEntries(names.map((name) => [name, shared[name]])) as Pick<typeof shared, K>;
}

/** The options that every task has. */
export const common = {
  config: text("--config", {
    metavar: "FILE",
    help: "YAML or JSON with values of these options, or a section a task; flags come before it",
  }),
  dryRun: toggle("--dry-run", { help: "Print the whole configuration as JSON and do nothing else" }),
  quiet: toggle("--quiet", { help: "No progress and no notes on standard error" }),
  debug: toggle("--debug", { help: "Show the stack of an error, and list answers that cannot be found" }),
  threads: integer("--threads", {
    max: 256,
    help:
      "Threads of the CPU; default: as many as it has cores for this process. Results do not depend on it",
  }),
  gpu: choice("--gpu", {
    choices: ["native", "dawn"],
    help: "Whose WebGPU: the runtime's own, which Deno alone has (its default), or Dawn",
  }),
  profile: toggle("--profile", { help: "Print launches and time of each kernel at the end" }),
} as const satisfies Record<string, Option<unknown>>;

// The others say how to ask and with what to work, not what to do: a configuration has none of them.
const { config: _, dryRun: __, threads: ___, gpu: ____, ...kept } = common;

/** Those of them that a configuration has. */
export const lasting = kept;

/** A task's options without those of every task. */
export function withoutCommon<T extends Readonly<Record<keyof typeof common, unknown>>>(
  options: T,
): Omit<T, keyof typeof common> {
  const own = { ...options } as Record<string, unknown>;
  for (const name of Object.keys(common)) delete own[name];
  return own as Omit<T, keyof typeof common>;
}
