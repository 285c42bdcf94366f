/**
 * The figures of docs/performance.md that `deno bench` cannot make: medians of programs taken in turn, ratios, bytes,
 * launches. Each in a process of its own, so that none works on another's heap; prints one JSON object.
 *
 *   deno run -A bench/figures.ts NAME          NAME: one of the functions below
 *   deno run -A bench/figures.ts rate CASE     CASE: one of the steps of bench/_cases.ts, ours alone
 */
import process from "node:process";
import * as tf from "@tensorflow/tfjs";
import { findAdapter } from "../lib/backend/webgpu.ts";
import { packFlat } from "../lib/model/packing.ts";
import { Random } from "../lib/data/random.ts";
import {
  linearLogprob,
  linearLogprobGradient,
  makeLabels,
} from "../lib/kernels/vocabulary/linear_logprob.ts";
import { matmul } from "../lib/kernels/product/matmul.ts";
import { loadModel } from "../lib/model/load_model.ts";
import { loading, lora } from "./_adapters.ts";
import { groupsOf, ourStep, type StepCase, stepCases, stockStep, tokensOf } from "./_cases.ts";
import { decodingNarrow, decodingSmol } from "./_decoding.ts";
import { decode, generationCases, oneTokenAgain, oneTokenOfStock, sampleAll } from "./_generation.ts";
import { inTurn, launches, median, peakBytes } from "./_peak.ts";
import { products } from "./_products.ts";
import { benchDevice, openBench, twin, upload, uploadBoth, zeros } from "./_device.ts";

const RUNS = 5;

/** Numbers and words of one measurement, by name. */
type Figures = Record<string, number | string>;

/** Ours and stock TF.js in turn, by token. */
async function against(given: StepCase): Promise<Figures> {
  const ours = await ourStep(given), stock = await stockStep(given);
  const times = await inTurn(RUNS, { ours: () => ours.run(), stock: () => stock.run() });
  const tokens = tokensOf(given.batch);
  return {
    backend: benchDevice().reason,
    milliseconds: times.ours,
    "tokens a second": 1000 * tokens / times.ours,
    "stock TF.js, milliseconds": times.stock,
    "stock TF.js, tokens a second": 1000 * tokens / times.stock,
    ratio: times.stock / times.ours,
  };
}

/** Our step alone, to stand beside a peer's program. */
async function rate(given: StepCase): Promise<Figures> {
  const step = await ourStep(given), { time } = await inTurn(RUNS, { time: () => step.run() });
  return { milliseconds: time, "tokens a second": 1000 * tokensOf(given.batch) / time };
}

/** Multiplications and additions that the maths of a step needs: nothing computed twice, no padding. */
export function necessaryOperations({ size: { layers, width, vocabulary }, batch }: StepCase): number {
  const { segments, tokens, labels } = packFlat(groupsOf(batch, vocabulary).map((g) => g.tokens));
  const rows = new Set(labels.map(([row]) => row)).size;
  let pairs = 0; // of a query and a key that it attends to
  for (const { start, end, sharedStart, sharedEnd } of segments) {
    const length = end - start;
    pairs += length * (sharedEnd - sharedStart) + length * (length + 1) / 2;
  }
  const matrices = 13 * width * width; // 4 of attention, 3 × 3 of the feed-forward half
  // Forward one product of each, backward two; attention has two forward and four backward.
  return layers * (6 * matrices * tokens + 12 * width * pairs) + 6 * rows * vocabulary * width;
}

/** The largest rate of the machine's products: 2,048³. In operations a second. */
async function productPeak(): Promise<number> {
  const n = 2048, a = zeros([n, n]), b = zeros([n, n]), times: number[] = [];
  for (let i = 0; i < 12; i++) {
    const start = performance.now();
    matmul(a, b).dispose();
    await benchDevice().finish();
    times.push(performance.now() - start);
  }
  [a, b].forEach((t) => t.dispose());
  return 2 * n ** 3 / median(times) * 1000;
}

/** Peak bytes and time of the loss on N rows and V labels, ours and stock. */
async function loss(chunkBytes?: number, stock = true): Promise<Figures> {
  await openBench("wasm");
  const rows = 2048, v = 32_000, d = 128, random = new Random(1);
  const normal = (n: number) => Float32Array.from({ length: n }, () => random.normal() * 0.1);
  const hidden = uploadBoth(normal(rows * d), [rows, d]), weight = uploadBoth(normal(v * d), [v, d]);
  const ids = Int32Array.from({ length: rows }, () => random.integer(v));
  const labels = makeLabels(benchDevice(), Array.from(ids, (id, row) => [row, id] as const));
  const weights = upload(new Float32Array(rows).fill(-1 / rows), [rows]), dweight = zeros([v, d]);
  const ours = () => {
    const forward = linearLogprob(hidden, weight, { labels, chunkBytes });
    linearLogprobGradient(forward, weights, { hidden, weight, labels, dweight }).dispose();
    forward.dispose();
  };
  const theirs = () =>
    tf.tidy(() => {
      const oneHot = tf.oneHot(tf.tensor1d(ids, "int32"), v);
      tf.grads((h: tf.Tensor, w: tf.Tensor) =>
        tf.losses.softmaxCrossEntropy(oneHot, tf.matMul(h as tf.Tensor2D, w as tf.Tensor2D, false, true))
      )([twin(hidden), twin(weight)]);
    });
  const bytes = await peakBytes(ours), { time } = await inTurn(RUNS, { time: ours });
  if (!stock) return { "peak bytes": bytes, milliseconds: time };
  const stockBytes = await peakBytes(theirs);
  return {
    "peak bytes": bytes,
    milliseconds: time,
    "stock TF.js, peak bytes": stockBytes,
    ratio: bytes / stockBytes,
  };
}

/** Every measurement by its name. */
const figures: Record<string, () => Promise<Figures>> = {
  machine: async () => {
    const { description } = await findAdapter();
    const { reason } = await openBench("wasm");
    return { adapter: description, wasm: reason, "products, GFLOP/s": await productPeak() / 1e9 };
  },
  "aft-webgpu": () => against(stepCases["aft-webgpu"]),
  "vft-webgpu": () => against(stepCases["vft-webgpu"]),
  "vft-wasm": () => rate(stepCases["vft-wasm"]),
  "aft-wasm": async () => {
    const given = stepCases["aft-wasm"], step = await ourStep(given);
    const { time } = await inTurn(RUNS, { time: () => step.run() }), peak = await productPeak();
    const operations = necessaryOperations(given);
    return {
      backend: benchDevice().reason,
      milliseconds: time,
      "tokens a second": 1000 * tokensOf(given.batch) / time,
      "necessary GFLOP": operations / 1e9,
      "products, GFLOP/s": peak / 1e9,
      "share of peak": operations / (time / 1000) / peak,
    };
  },
  "aft-wasm-rate": () => rate(stepCases["aft-wasm"]),
  "without-recompute": async () => {
    const given = stepCases["aft-wasm"];
    const kept = await ourStep(given), again = await ourStep(given, { keep: "inputs" });
    const times = await inTurn(RUNS, { kept: () => kept.run(), again: () => again.run() });
    return {
      "kept, milliseconds": times.kept,
      "kept, peak bytes": await peakBytes(() => kept.run()),
      "computed again, milliseconds": times.again,
      "computed again, peak bytes": await peakBytes(() => again.run()),
    };
  },
  "without-sharing": async () => {
    // Every candidate behind a prompt of its own: the same labels, as a padded batch would have them.
    const given = stepCases["aft-wasm"];
    if (!("questions" in given.batch)) throw new Error("The AFT step has questions");
    const { questions, candidates } = given.batch;
    const apart = { ...given, batch: { ...given.batch, questions: questions * candidates, candidates: 1 } };
    const shared = await ourStep(given), own = await ourStep(apart);
    const times = await inTurn(RUNS, { shared: () => shared.run(), own: () => own.run() });
    return { "shared, milliseconds": times.shared, "repeated, milliseconds": times.own };
  },
  loss: () => loss(),
  "loss-whole": () => loss(2048 * 32_000 * 4, false),
  candidates: async () => {
    const found: Figures = {};
    for (const candidates of [2, 4, 8, 16, 32]) {
      const batch = { questions: 128 / candidates, candidates, prompt: 100, response: 120 };
      const step = await ourStep({
        backend: "wasm",
        size: { layers: 4, width: 128, vocabulary: 1024 },
        batch,
      }, { microBatchTokens: 16_384 });
      const { time } = await inTurn(RUNS, { time: () => step.run() });
      found[`k=${candidates}, µs a response token`] = 1000 * time / tokensOf(batch);
      found[`k=${candidates}, peak bytes`] = await peakBytes(() => step.run());
      step.dispose();
    }
    return found;
  },
  launches: async () => {
    const found: Figures = {};
    const { adapter } = await findAdapter();
    for (const backend of adapter ? ["wasm", "webgpu"] as const : ["wasm"] as const) {
      const count: number[] = [];
      for (const layers of [2, 4]) {
        const size = { layers, width: 64, vocabulary: 256 }, { batch } = stepCases["aft-webgpu"];
        const step = await ourStep({ backend, size, batch });
        await step.run();
        count.push(await launches(() => step.run()));
        step.dispose();
      }
      // The optimizer's launches, two a parameter, are no part of forward and backward: 6 parameters a layer.
      found[`${backend}, launches a layer`] = (count[1] - count[0]) / 2 - 12;
      found[`${backend}, with the optimizer`] = (count[1] - count[0]) / 2;
    }
    return found;
  },
  lora: () => lora("wasm"),
  "lora-webgpu": () => lora("webgpu"),
  loading: () => loading("wasm"),
  "loading-webgpu": () => loading("webgpu"),
  "decoding-int4": () => decodingNarrow("wasm"),
  "decoding-int4-no-blas": () => {
    process.env.AFT_BLAS = "none"; // read when the backend opens
    return decodingNarrow("wasm");
  },
  "decoding-smol": () => decodingSmol(),
  products: () => products(),
  "decoding-int4-webgpu": () => decodingNarrow("webgpu"),
  generation: () => generation("wasm"),
  "generation-webgpu": () => generation("webgpu"),
  stories: async () => {
    const directory = process.env.AFT_STORIES ?? "../shared/models/stories260K";
    const model = await loadModel(directory, { backend: "wasm" });
    const given = { questions: 32, samples: 1, prompt: 1, tokens: 200 };
    const times = await inTurn(RUNS, {
      many: async () => void await decode(model.decoder, given),
      one: async () => void await decode(model.decoder, { ...given, questions: 1 }),
    });
    return {
      "tokens a second": 1000 * 32 * 200 / times.many,
      "one sequence, tokens a second": 1000 * 200 / times.one,
    };
  },
};

async function generation(backend: "wasm" | "webgpu"): Promise<Figures> {
  const given = generationCases[backend], sequences = given.questions * given.samples;
  const cached = await sampleAll(given), again = await oneTokenAgain(given);
  const stock = backend === "webgpu" ? await oneTokenOfStock(given) : undefined;
  const times: Record<string, number> = await inTurn<string>(RUNS, {
    cached: () => cached.run(),
    again: () => again.run(),
    ...(stock && { stock: () => stock.run() }),
  });
  const rate = 1000 * sequences * given.tokens / times.cached!, slow = 1000 * sequences / times.again!;
  return {
    "tokens a second": rate,
    "prefix again, our kernels, tokens a second": slow,
    ratio: rate / slow,
    ...(times.stock !== undefined && {
      "prefix again, stock TF.js, tokens a second": 1000 * sequences / times.stock,
      "ratio to stock TF.js": rate / (1000 * sequences / times.stock),
    }),
  };
}

if (import.meta.main) {
  const [name, which] = process.argv.slice(2), step = stepCases[which as keyof typeof stepCases];
  const run = name === "rate" && step ? () => rate(step) : figures[name];
  if (!run) {
    console.error(
      `Unknown figure ${name}: expected one of ${Object.keys(figures).join(", ")}, ` +
        `or rate and one of ${Object.keys(stepCases).join(", ")}`,
    );
    process.exit(2);
  }
  console.log(JSON.stringify(await run()));
  process.exit(0);
}
