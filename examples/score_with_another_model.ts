/**
 * Candidates of one model, with the log-probs of another: what DPO's reference is, and both stay loaded.
 *
 *   deno run -A examples/score_with_another_model.ts
 */
import { generate, loadDataset, loadModel, score, train } from "../mod.ts";

using policy = await loadModel("fixtures/base");
using reference = await loadModel("fixtures/base");
const problems = loadDataset("arithmetic", { limit: 16 });
// Nothing is collected: each group goes from step to step as soon as it is there.
const groups = score(reference, generate(policy, problems, { samples: 3, maxTokens: 48 }));
const options = {
  objective: "dpo",
  options: { beta: 0.1 },
  epochs: 1,
  learningRate: 1e-4,
  batchSize: 8,
} as const;
for await (const { step, loss } of train(policy, groups, options)) {
  console.log(`step ${step}: loss ${loss.toFixed(3)}`);
}
