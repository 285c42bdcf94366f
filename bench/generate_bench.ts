/**
 * Generation: 16 questions × 6 samples × 128 tokens with a cache, against computing the whole prefix for every token.
 *
 *   deno bench -A bench/generate_bench.ts
 */
import { generationCases, oneTokenAgain, oneTokenOfStock, sampleAll } from "./_generation.ts";
import { findAdapter } from "../lib/backend/webgpu.ts";

const { adapter } = await findAdapter();

for (const backend of ["wasm", "webgpu"] as const) {
  const given = generationCases[backend], group = `${backend}: 96 sequences, one token each`;
  const shared = { group, ignore: backend === "webgpu" && !adapter, n: 3, warmup: 1 };
  let cached: ReturnType<typeof sampleAll> | undefined;
  let again: ReturnType<typeof oneTokenAgain> | undefined,
    stock: ReturnType<typeof oneTokenOfStock> | undefined;
  Deno.bench({
    ...shared,
    name: "with the cache, 128 tokens",
    group: `${backend}: 96 sequences of 128 tokens`,
    fn: async () => (await (cached ??= sampleAll(given))).run(),
  });
  // The middle of the response stands for all of its tokens: the work grows with the prefix.
  Deno.bench({
    ...shared,
    name: "prefix computed again by our kernels, at token 64",
    fn: async () => (await (again ??= oneTokenAgain(given))).run(),
  });
  Deno.bench({
    ...shared,
    name: "prefix computed again by stock TF.js, at token 64",
    ignore: shared.ignore || backend !== "webgpu",
    baseline: true,
    fn: async () => (await (stock ??= oneTokenOfStock(given))).run(),
  });
}
