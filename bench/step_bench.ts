/**
 * A whole optimizer step, VFT and AFT: on WASM, and where there is an adapter on WebGPU, there against stock TF.js; and
 * the AFT step by number of candidates.
 *
 *   deno bench -A bench/step_bench.ts
 */
import { findAdapter } from "../lib/backend/webgpu.ts";
import { ourStep, stepCases, stockStep } from "./_cases.ts";

const { adapter } = await findAdapter();

for (const [name, given] of Object.entries(stepCases)) {
  const ignore = given.backend === "webgpu" && !adapter;
  // Made on first use: a case that a filter leaves out costs nothing.
  let ours: ReturnType<typeof ourStep> | undefined, stock: ReturnType<typeof stockStep> | undefined;
  Deno.bench({
    name: `${name}, ours`,
    group: name,
    ignore,
    n: 5,
    warmup: 1,
    fn: async () => (await (ours ??= ourStep(given))).run(),
  });
  Deno.bench({
    name: `${name}, stock TF.js`,
    group: name,
    baseline: true,
    ignore: ignore || given.backend !== "webgpu",
    n: 5,
    warmup: 1,
    fn: async () => (await (stock ??= stockStep(given))).run(),
  });
}

// The same number of candidates in each step, so that times compare as they stand.
for (const candidates of [2, 4, 8, 16, 32]) {
  const batch = { questions: 64 / candidates, candidates, prompt: 100, response: 120 };
  let step: ReturnType<typeof ourStep> | undefined;
  Deno.bench({
    name: `${candidates} candidates, ${batch.questions} questions`,
    group: "aft-wasm by candidates: 4 layers, D 128, V 1,024",
    baseline: candidates === 2,
    n: 5,
    warmup: 1,
    fn: async () =>
      (await (step ??= ourStep({
        backend: "wasm",
        size: { layers: 4, width: 128, vocabulary: 1024 },
        batch,
      }))).run(),
  });
}
