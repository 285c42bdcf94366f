/**
 * What a run needs in memory, worked out from config.json alone.
 */

import { UsageError } from "../runtime/errors.ts";
import type { DecoderConfig } from "../checkpoint/config.ts";
import { adapterParameters } from "../checkpoint/adapted.ts";
import type { Lora } from "../checkpoint/lora.ts";
import { parameterPlan } from "../checkpoint/parameter_plan.ts";
import { type BaseDtype, isQuantizable, storedBytes } from "../checkpoint/stored_bytes.ts";

/** What is to be run. */
export interface MemoryOptions {
  /** `train`: weights, gradients, moments, activations. `score`: weights, one layer's. `generate`: weights, caches. */
  readonly task: "train" | "score" | "generate";
  /** Trains a low-rank adapter alone. */
  readonly lora?: Lora | undefined;
  /** How the layers' matrices are kept where they are frozen (default f32). */
  readonly baseDtype?: BaseDtype;
  /** Rows computed at once, N (default 4,096). */
  readonly microBatchTokens?: number | undefined;
  /** Keep only each layer's input. */
  readonly recompute?: boolean | undefined;
  /** Without `recompute`: of how many layers, the last ones, all products are kept (default all). */
  readonly keptLayers?: number | undefined;
  /** Whether decoding keeps the head in 8 bits too: on the CPU beside int8 and int4 (default false). */
  readonly narrowHead?: boolean | undefined;
  /** Sequences decoded at once, S (default 96). */
  readonly slots?: number;
  /** Longest prompt in tokens, for caches (default 256). */
  readonly promptTokens?: number;
  /** Longest response in tokens (default 256). */
  readonly maxTokens?: number;
  /** Samples of a question, which share its prompt's keys (default 6). */
  readonly samples?: number;
}

/** Bytes by what they are for; numbers of parameters. */
export interface MemoryPlan {
  /** All parameters, the adapter's included. */
  readonly parameters: number;
  /** Parameters that are trained; 0 where nothing is. */
  readonly trainable: number;
  /** Layers of which a training keeps all products; the others are computed again in the backward pass. */
  readonly keptLayers: number;
  /** Bytes at the peak, by what they are for. */
  readonly bytes: {
    /** Parameters, frozen or not. */
    readonly weights: number;
    /** One number for each that is trained. */
    readonly gradients: number;
    /** Two moments of each trained number. */
    readonly optimizer: number;
    /** What the forward pass keeps, and the largest set that one layer's passes need besides. */
    readonly activations: number;
    /** Logits alive at once. */
    readonly logits: number;
    /** Keys and values in decoding. */
    readonly caches: number;
    /** Their sum. */
    readonly total: number;
  };
  /** The largest tensor that on a GPU must fit one binding: weights and logits go by parts, activations and caches do not. */
  readonly largest: { readonly name: string; readonly bytes: number };
  /** The largest parameter, which on a GPU must fit one buffer. */
  readonly largestParameter: { readonly name: string; readonly bytes: number };
}

/** Trained parameters from which the CPU keeps moments outside its heap: half a gigabyte of them. */
const OUTSIDE = 2 ** 26;

/** Whether the moments of so many trained parameters lie outside the heap of the CPU, so that weights and gradients fit. */
export function momentsOutside(trained: number): boolean {
  return trained >= OUTSIDE;
}

/** Logits that the head keeps at once in training and scoring. */
const LOGIT_BYTES = 16 * 2 ** 20;

/**
 * Bytes that a run needs at its peak, for a decoder of L layers, width D, feed-forward width F (P numbers go into its
 * activation: 2F gated, else F), Q = (H + 2·KV)·headDim, A = H·headDim and vocabulary V, with N rows at once:
 *
 *   weights      each parameter's elements × 4, or what its {@linkcode storedBytes} are when frozen and narrow
 *   gradients    4 × trainable;   optimizer  8 × trainable
 *   activations  kept: 4·N·L·D, and 4·N·(D + Q + A + H + P) for each of the `keptLayers`, at least one: a layer that is
 *                computed again needs its own;
 *                besides: 4·N·(5D + 2F + P) while a layer's gradient is computed (scoring: 4·N·(4D + Q + A + F + P))
 *   logits       min(4·N·V, 16 MiB), in decoding 4·S·V
 *   caches       8·L·KV·headDim a row, for ⌈S/samples⌉ questions of promptTokens + samples·maxTokens rows
 *
 * An estimate: within a fifth of what is measured (test/memory_test.ts). The GPU's buffer pool, which keeps buffers of
 * sizes that are gone, can hold more.
 */
export function memoryPlan(config: DecoderConfig, options: MemoryOptions): MemoryPlan {
  const { task, lora, baseDtype = "f32", microBatchTokens: n = 4096, recompute = false } = options;
  const keptLayers = task !== "train" || recompute ? 0 : options.keptLayers ?? config.layers;
  const { layers, hiddenSize: d, intermediateSize: f, heads, kvHeads, headDim, vocabularySize: v } = config;
  let parameters = 0, weights = 0, largest = { name: "", bytes: 0 }, largestParameter = largest;
  const consider = (name: string, bytes: number) => {
    if (bytes > largest.bytes) largest = { name, bytes };
  };
  for (const { name, shape } of parameterPlan(config)) {
    const count = shape.reduce((a, b) => a * b, 1);
    const bytes = isQuantizable(name, shape) ? storedBytes(shape as [number, number], baseDtype) : 4 * count;
    parameters += count;
    weights += bytes;
    if (bytes > largestParameter.bytes) largestParameter = { name, bytes };
  }
  const adapter = lora ? adapterSize(config, lora) : 0;
  const trainable = task !== "train" ? 0 : lora ? adapter : parameters;
  parameters += adapter;
  weights += 4 * adapter;
  if (options.narrowHead) weights += storedBytes([config.vocabularySize, config.hiddenSize], "int8");

  const q = (heads + 2 * kvHeads) * headDim,
    a = heads * headDim,
    p = config.activation === "swiglu" ? 2 * f : f;
  const decoded = task === "generate";
  const { slots = 96, promptTokens = 256, maxTokens = 256, samples = 6 } = options;
  // A prefill computes as many prompts as are admitted at once.
  const rows = decoded ? Math.max(slots, Math.ceil(slots / samples) * promptTokens) : n;
  const working = 4 * rows * (4 * d + q + a + f + p);
  const { inputs, products, gradient } = passBytes(config, n);
  const activations = task === "train" ? inputs + Math.max(1, keptLayers) * products + gradient : working;
  consider("one layer's activations", 4 * rows * Math.max(p, q, d));
  const logits = decoded ? 4 * slots * v : Math.min(4 * n * v, LOGIT_BYTES);
  const cacheRows = Math.ceil(slots / samples) * (promptTokens + samples * maxTokens);
  const cache = decoded ? 8 * kvHeads * headDim * cacheRows : 0;
  consider("one layer's cache", cache);
  const bytes = {
    weights,
    gradients: 4 * trainable,
    optimizer: 8 * trainable,
    activations,
    logits,
    caches: layers * cache,
  };
  const total = Object.values(bytes).reduce((sum, part) => sum + part, 0);
  return { parameters, trainable, keptLayers, bytes: { ...bytes, total }, largest, largestParameter };
}

/** Bytes of a training's pass over N rows. */
interface PassBytes {
  /** Of every layer's input. */
  readonly inputs: number;
  /** Of one layer's other products. */
  readonly products: number;
  /** Of what a layer's gradient needs besides. */
  readonly gradient: number;
}

function passBytes(config: DecoderConfig, rows: number): PassBytes {
  const { layers, hiddenSize: d, intermediateSize: f, heads, kvHeads, headDim, activation } = config;
  const q = (heads + 2 * kvHeads) * headDim, a = heads * headDim, p = activation === "swiglu" ? 2 * f : f;
  return {
    inputs: 4 * rows * layers * d,
    products: 4 * rows * (d + q + a + heads + p),
    gradient: 4 * rows * (5 * d + 2 * f + p),
  };
}

/** What a step may need beyond the estimate, as a factor of it: it is within a fifth of what is measured. */
const SPARE = 1.2;

/**
 * Of how many layers, the last ones, a pass over some rows may keep all products in the memory that is left; the others
 * are computed again in the backward pass, which goes from the last to the first and so has theirs free by then.
 *
 * @param left bytes
 */
export function layersThatFit(config: DecoderConfig, rows: number, left: number): number {
  const { inputs, products, gradient } = passBytes(config, rows);
  const logits = Math.min(4 * rows * config.vocabularySize, LOGIT_BYTES);
  const layers = Math.floor((left / SPARE - inputs - gradient - logits) / products);
  return Math.max(0, Math.min(config.layers, layers));
}

/** The options of a training, with as many layers' products kept as the limits leave room for. */
export function fitted(config: DecoderConfig, options: MemoryOptions, limits: MemoryLimits): MemoryOptions {
  if (options.task !== "train" || options.recompute || limits.total === undefined) return options;
  const one = heapBytes(memoryPlan(config, { ...options, keptLayers: 1 }), limits),
    spare = limits.total - one;
  // One that is computed again needs as much as one that is kept.
  const more = Math.floor(spare / passBytes(config, options.microBatchTokens ?? 4096).products);
  return { ...options, keptLayers: spare < 0 ? 0 : Math.min(config.layers, 1 + more) };
}

/** Bytes of a plan that lie where the limit is. */
function heapBytes(plan: MemoryPlan, { backend }: MemoryLimits): number {
  return plan.bytes.total - (backend === "wasm" && momentsOutside(plan.trainable) ? plan.bytes.optimizer : 0);
}

/** Numbers of an adapter. */
function adapterSize(config: DecoderConfig, lora: Lora): number {
  return adapterParameters(config, lora)
    .reduce((sum, [, shape]) => sum + shape.reduce((a, b) => a * b, 1), 0);
}

/** What a backend allows. */
export interface MemoryLimits {
  /** Which it is. */
  readonly backend: "wasm" | "webgpu";
  /** Bytes in all: the heap of the CPU has 32-bit addresses. A GPU does not say what it has. */
  readonly total?: number;
  /** Bytes of one binding (WebGPU). */
  readonly binding?: number;
  /** Bytes of one buffer (WebGPU). */
  readonly buffer?: number;
}

/** Why a plan does not fit; undefined when nothing says so. */
export function shortfall(plan: MemoryPlan, limits: MemoryLimits): string | undefined {
  const { total, binding, buffer, backend } = limits, { largest, largestParameter } = plan;
  const inHeap = heapBytes(plan, limits);
  if (total !== undefined && inHeap > total) {
    return `it needs about ${bytesText(inHeap)}, the ${backend} heap holds ${bytesText(total)}`;
  }
  if (buffer !== undefined && largestParameter.bytes > buffer) {
    return `${largestParameter.name} takes ${
      bytesText(largestParameter.bytes)
    }, one buffer of this GPU holds ${bytesText(buffer)}`;
  }
  if (binding !== undefined && largest.bytes > binding) {
    return `${largest.name} takes ${bytesText(largest.bytes)}, one binding of this GPU holds ${
      bytesText(binding)
    }`;
  }
  return undefined;
}

/**
 * Refuses a run that cannot fit, and says which option would make it fit.
 *
 * @throws {UsageError} before anything is loaded
 */
export function checkFits(config: DecoderConfig, options: MemoryOptions, limits: MemoryLimits): void {
  const lacking = (changes: Partial<MemoryOptions>) =>
    shortfall(memoryPlan(config, fitted(config, { ...options, ...changes }, limits)), limits);
  const why = lacking({});
  if (why === undefined) return;
  const { task } = options;
  const found = remediesFor(options).find(([, changes]) => lacking(changes) === undefined);
  const verb = task === "train" ? "train" : task;
  const hint = found
    ? `; ${found[0]} would fit`
    : limits.backend === "wasm"
    ? "; a GPU would (option `backend: webgpu`)"
    : "; no option makes it fit this GPU";
  throw new UsageError(`Cannot ${verb} this model on ${limits.backend}: ${why}${hint}`);
}

/** Options that need less memory, from those that change the least on. */
function remediesFor(options: MemoryOptions): [string, Partial<MemoryOptions>][] {
  const { task, lora = { r: 16, alpha: 32 }, microBatchTokens = 4096, slots = 96, samples = 6 } = options;
  const rows = { microBatchTokens: Math.min(microBatchTokens, 1024) }, again = { ...rows, recompute: true };
  const few = { slots: Math.min(slots, 8), samples: Math.min(samples, 8) };
  const narrow = (name: string, changes: Partial<MemoryOptions>): [string, Partial<MemoryOptions>][] =>
    (["f16", "int8", "int4"] as const).map((baseDtype) => [
      `${name}option \`baseDtype: ${baseDtype}\``,
      { ...changes, baseDtype },
    ]);
  const fewSlots = "option `slots: 8`",
    fewer = "option `microBatchTokens: 1024`",
    recomputed = `option \`recompute\` ${fewer}`;
  if (task === "generate") {
    return [[fewSlots, few], ...narrow("", {}), ...narrow(`${fewSlots} `, few)];
  }
  if (task === "score") {
    return [[fewer, rows], ...narrow("", {}), ...narrow(`${fewer} `, rows)];
  }
  const adapter = `option \`lora: r=16\` ${recomputed}`;
  return [
    [fewer, rows],
    [recomputed, again],
    [adapter, { ...again, lora }],
    ...narrow(`${adapter} `, { ...again, lora }),
  ];
}

/** Bytes as people read them. */
export function bytesText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB"],
    at = Math.min(3, Math.max(0, Math.floor(Math.log2(bytes || 1) / 10)));
  const value = bytes / 1024 ** at;
  return `${value >= 100 || at === 0 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}
