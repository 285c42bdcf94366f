/**
 * The steps of a pipe as functions: each record goes through all of them before the next is read.
 *
 *   deno run -A examples/pipe_in_memory.ts
 */
import { generate, loadDataset, loadModel, rank, score, steps } from "../mod.ts";

using model = await loadModel("fixtures/base");
const problems = loadDataset("arithmetic", { limit: 4 });
const candidates = generate(model, problems, { samples: 3, maxTokens: 48, slots: 3 });
const ranked = rank(score(model, candidates), { source: steps });
for await (const { id, candidates } of ranked) {
  console.log(
    id,
    candidates.map(({ rank, correct, score }) => ({ rank, correct, score: score?.toFixed(2) })),
  );
}
