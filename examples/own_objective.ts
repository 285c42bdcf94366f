/**
 * An objective of your own: a pure function of one question's scores, its derivative, and what it needs.
 *
 *   deno run -A examples/own_objective.ts
 */
import { generate, loadDataset, loadModel, type Objective, score, type ScoredGroup, train } from "../mod.ts";

/** Every right candidate should be likelier than every wrong one by a margin: mean of max(0, margin − (s_r − s_w)). */
const hinge: Objective = {
  name: "hinge",
  title: "Hinge on right and wrong candidates",
  feedback: ["labels"],
  options: { margin: { default: 0.5, min: 0, unit: "nats per token", help: "Distance that is far enough" } },
  loss({ scores, correct = [] }: ScoredGroup, { margin }: { margin: number }) {
    const gradient = new Float64Array(scores.length);
    const right = [...correct.keys()].filter((i) => correct[i]);
    const wrong = [...correct.keys()].filter((i) => !correct[i]);
    const pairs = right.length * wrong.length;
    let value = 0;
    for (const r of right) {
      for (const w of wrong) {
        const loss = margin - (scores[r] - scores[w]);
        if (loss <= 0) continue;
        value += loss / pairs;
        gradient[r] -= 1 / pairs;
        gradient[w] += 1 / pairs;
      }
    }
    return { value, gradient };
  },
};

using model = await loadModel("fixtures/base");
const problems = loadDataset("arithmetic", { limit: 16 });
const groups = await Array.fromAsync(score(model, generate(model, problems, { samples: 3, maxTokens: 48 })));
const options = { objective: hinge, options: { margin: 1 }, epochs: 1, learningRate: 1e-4, batchSize: 8 };
for await (const { step, loss } of train(model, groups, options)) {
  console.log(`step ${step}: loss ${loss.toFixed(3)}`);
}
