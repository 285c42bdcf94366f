import type { CpuDevice, Tensor } from "../backend/device.ts";
import { dispatch, type Program } from "../backend/dispatch.ts";
import { profile } from "../backend/profile.ts";
import { empty, upload } from "../backend/tensors.ts";
import { cpuOf } from "./_assembly.ts";
import { overRows } from "./_over_rows.ts";
import { elementsOf, rowBlocks } from "./_row_blocks.ts";
import module from "./built/adamw.wasm.ts";

/** Most partial sums that a tensor, or what of it fits a binding, contributes to the norm on a GPU, and elements of one at least. */
const PARTIALS = 64, ELEMENTS = 4096;

/**
 * Σ x² over all elements of all tensors: the square of the global gradient norm, on the device.
 *
 * @returns [1]; reading it is the caller's decision, since a readback costs 10 ms in Deno
 */
export function sumOfSquares(tensors: readonly Tensor[]): Tensor {
  const [first] = tensors;
  if (!first) throw new Error("Cannot sum the squares of no tensors");
  const { device } = first;
  if (device.name === "wasm") {
    return upload(
      device,
      Float32Array.of(profile.run("sum_of_squares", () => squaresOnCpu(device, tensors))),
      [1],
    );
  }
  const runs = tensors.flatMap((x) => rowBlocks(device, x.size, 1).map((run) => ({ x, run })));
  const counts = runs.map(({ run }) => Math.min(PARTIALS, Math.ceil(run.count / ELEMENTS)));
  const partials = empty(device, [counts.reduce((sum, n) => sum + n, 0)]), total = empty(device, [1]);
  let from = 0;
  runs.forEach(({ x, run }, i) => {
    dispatch(partialProgram, {
      tensors: { x: elementsOf(x, run), partials },
      params: { size: run.count, first: from, stride: counts[i] * 256 },
      groups: [counts[i]],
    });
    from += counts[i];
  });
  dispatch(totalProgram, { tensors: { partials, total }, params: { size: partials.size }, groups: [1] });
  partials.dispose();
  return total;
}

/** Elements that are summed by themselves on the CPU: the same for any number of threads, and so is the sum. */
const SUMMED = 2 ** 16;

function squaresOnCpu(device: CpuDevice, tensors: readonly Tensor[]): number {
  const { pointer, threads, memory, allocate, free } = device;
  const kernel = threads.kernel(module, "put_sum_of_squares");
  const count = tensors.reduce((sum, { size }) => sum + Math.ceil(size / SUMMED), 0),
    sums = allocate(8 * count);
  let next = sums;
  threads.run(0, (job) => {
    for (const x of tensors) {
      for (let from = 0; from < x.size; from += SUMMED, next += 8) {
        job.unit();
        job.call(kernel, pointer(x) + 4 * from, Math.min(SUMMED, x.size - from), next);
      }
    }
  });
  const total = new Float64Array(memory.buffer, sums, count).reduce((sum, part) => sum + part, 0);
  free(sums);
  return total;
}

/** The settings of one update. */
export interface AdamwStep {
  /** Number of this update, from 1: for the bias correction. */
  readonly step: number;
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Decoupled weight decay: p loses learningRate · weightDecay of itself. */
  readonly weightDecay: number;
  /** Σ g² over all parameters [1], of {@linkcode sumOfSquares}. */
  readonly squares: Tensor;
  /** Largest global norm: gradients are scaled by min(1, clip/‖g‖). Infinity for none. */
  readonly clip: number;
}

/**
 * One AdamW update of one parameter, in place, with clipping; the gradient is zeroed for the next step.
 *
 *   g ← g·min(1, clip/‖g‖),  m ← β₁m + (1−β₁)g,  v ← β₂v + (1−β₂)g²,
 *   p ← p − lr·(m/(1−β₁ᵗ) / (√(v/(1−β₂ᵗ)) + ε) + weightDecay·p)
 *
 * A norm that is not finite leaves p, m and v as they are. On the CPU m and v may lie outside the heap. Source: Loshchilov & Hutter, arXiv 1711.05101.
 */
export function adamw(
  tensors: {
    readonly parameter: Tensor;
    readonly gradient: Tensor;
    readonly m: Tensor;
    readonly v: Tensor;
  },
  step: AdamwStep,
): void {
  const { parameter, gradient, m, v } = tensors;
  const { beta1, beta2, epsilon, learningRate, weightDecay, clip } = step;
  const rate = learningRate / (1 - beta1 ** step.step), rootC2 = Math.sqrt(1 - beta2 ** step.step);
  const keep = 1 - learningRate * weightDecay;
  if (parameter.device.name === "wasm") {
    const { pointer: at, memory } = cpuOf(parameter);
    const norm = Math.sqrt(new Float32Array(memory.buffer, at(step.squares), 1)[0]);
    if (!Number.isFinite(norm)) {
      return void new Float32Array(memory.buffer, at(gradient), gradient.size).fill(0);
    }
    const scale = norm > clip ? clip / norm : 1;
    const settings = [scale, beta1, beta2, rate, rootC2, epsilon, keep];
    if (m.slot.outside) return updateByBlocks({ parameter, gradient, m, v }, settings);
    profile.run(
      "adamw",
      () =>
        overRows(
          cpuOf(parameter),
          { kernel: [module, "update"], rows: parameter.size, each: 1, step: 4 },
          (from, count) => [
            ...[parameter, gradient, m, v].map((tensor) => at(tensor) + 4 * from),
            count,
            ...settings,
          ],
        ),
    );
    return;
  }
  for (const run of rowBlocks(parameter.device, parameter.size, 1)) {
    const part = (tensor: Tensor) => elementsOf(tensor, run);
    dispatch(updateProgram, {
      tensors: { squares: step.squares, p: part(parameter), g: part(gradient), m: part(m), v: part(v) },
      params: {
        size: run.count,
        beta1,
        beta2,
        rate,
        root_c2: rootC2,
        epsilon,
        keep,
        clip: Math.min(clip, 3e38), // WGSL has no infinity
      },
      groups: [Math.ceil(run.count / 256)],
    });
  }
}

/** Elements of moments outside the heap that are in it at once: a block of both stays in the second cache. */
const OUTSIDE = 2 ** 17;

/** The update with moments outside the heap: some of them at a time are copied into it, and back. */
function updateByBlocks(
  { parameter, gradient, m, v }: Record<"parameter" | "gradient" | "m" | "v", Tensor>,
  settings: readonly number[],
): void {
  const device = cpuOf(parameter), { pointer: at, memory } = device, size = Math.min(OUTSIDE, parameter.size);
  const block = device.allocate(8 * size), moments = [m, v].map(({ slot }) => slot.outside!);
  try {
    for (let from = 0; from < parameter.size; from += size) {
      const count = Math.min(size, parameter.size - from);
      const places = [block, block + 4 * size].map((place) =>
        new Uint8Array(memory.buffer, place, 4 * count)
      );
      const parts = moments.map((moment) => moment.subarray(4 * from, 4 * (from + count)));
      places.forEach((place, i) => place.set(parts[i]!));
      profile.run(
        "adamw",
        () =>
          overRows(device, { kernel: [module, "update"], rows: count, each: 1, step: 4 }, (first, many) => [
            ...[parameter, gradient].map((tensor) => at(tensor) + 4 * (from + first)),
            ...[block, block + 4 * size].map((place) => place + 4 * first),
            many,
            ...settings,
          ]),
      );
      parts.forEach((part, i) => part.set(places[i]!));
    }
  } finally {
    device.free(block);
  }
}

const REDUCE = `
var<workgroup> values: array<f32, 256>;
var<workgroup> sums: array<f32, 16>;
// Only thread 0 gets the sum.
fn block_sum(value: f32, lane: u32) -> f32 {
  values[lane] = value;
  workgroupBarrier();
  if (lane < 16u) {
    var sum = 0.0;
    for (var i = lane; i < 256u; i += 16u) { sum += values[i]; }
    sums[lane] = sum;
  }
  workgroupBarrier();
  var sum = 0.0;
  if (lane == 0u) { for (var i = 0u; i < 16u; i++) { sum += sums[i]; } }
  return sum;
}`;

const partialProgram: Program = {
  name: "sum_of_squares",
  inputs: { x: "f32" },
  outputs: { partials: "f32" },
  params: { size: "u32", first: "u32", stride: "u32" },
  workgroup: [256],
  header: REDUCE,
  body: `
  var total = 0.0;
  for (var i = row * 256u + lane; i < params.size; i += params.stride) { total += x[i] * x[i]; }
  let sum = block_sum(total, lane);
  if (lane == 0u) { partials[params.first + row] = sum; }`,
};

const totalProgram: Program = {
  name: "sum_of_squares_total",
  inputs: { partials: "f32" },
  outputs: { total: "f32" },
  params: { size: "u32" },
  workgroup: [256],
  header: REDUCE,
  body: `
  var part = 0.0;
  for (var i = lane; i < params.size; i += 256u) { part += partials[i]; }
  let sum = block_sum(part, lane);
  if (lane == 0u) { total[0] = sum; }`,
};

const updateProgram: Program = {
  name: "adamw",
  inputs: { squares: "f32" },
  outputs: { p: "f32", g: "f32", m: "f32", v: "f32" },
  params: {
    size: "u32",
    beta1: "f32",
    beta2: "f32",
    rate: "f32",
    root_c2: "f32",
    epsilon: "f32",
    keep: "f32",
    clip: "f32",
  },
  workgroup: [256],
  body: `
  let i = row * 256u + lane;
  if (i >= params.size) { return; }
  let norm = sqrt(squares[0]);
  // Shaders may assume that no NaN exists: compare bits. An exponent of all ones is infinity or NaN.
  let finite = (bitcast<u32>(norm) & 0x7f800000u) != 0x7f800000u;
  if (finite) {
    let gi = g[i] * select(1.0, params.clip / norm, norm > params.clip);
    let mi = params.beta1 * m[i] + (1.0 - params.beta1) * gi;
    let vi = params.beta2 * v[i] + (1.0 - params.beta2) * gi * gi;
    m[i] = mi;
    v[i] = vi;
    p[i] = p[i] * params.keep - params.rate * mi / (sqrt(vi) / params.root_c2 + params.epsilon);
  }
  g[i] = 0.0;`,
};
