/** The benchmarks' baseline computes what the toolkit computes, so that a ratio of their times means something. */
import assert from "node:assert/strict";
import { alignmentLoss, disposeDecoder, randomDecoder, tokenLoss } from "../../bench/_decoder.ts";
import { StockDecoder } from "../../bench/_stock_tfjs.ts";
import { openBench } from "../../bench/_device.ts";
import { Optimizer } from "../../lib/train/optimizer.ts";
import { accumulateGradients, type TrainingGroup } from "../../lib/train/step.ts";
import { onBothBackends } from "../_backends.ts";
import { tokenIds } from "../_models.ts";

const groups: TrainingGroup[] = [[5, [4, 7]], [9, [3, 6]]].map(([prompt, responses], q) => ({
  id: `${q}`,
  tokens: {
    prompt: tokenIds(prompt as number, q + 1).map((id) => id % 64),
    responses: (responses as number[]).map((n) => tokenIds(n, 10 * q + n).map((id) => id % 64)),
  },
  feedback: { correct: [true, false], reference: 0 },
}));

for (const mode of ["alignment", "tokens"] as const) {
  onBothBackends(`Three steps of stock TF.js lose what ours lose, ${mode}`, async (backend) => {
    await openBench(backend);
    const decoder = randomDecoder({ layers: 2, width: 32, vocabulary: 64 });
    const stock = await StockDecoder.copy(decoder, { learningRate: 0.01 });
    const optimizer = new Optimizer(decoder, {
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      weightDecay: 0,
      clip: 1,
    });
    for (let step = 0; step < 3; step++) {
      const { loss } = await accumulateGradients(decoder, groups, {
        ...(mode === "alignment" ? alignmentLoss : tokenLoss),
        microBatchTokens: 1000,
        keep: "products",
        report: true,
        gradients: optimizer.gradients,
      });
      optimizer.update(0.01).dispose();
      const theirs = stock.step(groups, mode);
      const [expected] = await theirs.data();
      theirs.dispose();
      assert.ok(
        Math.abs(loss! - expected) < 2e-3 * Math.abs(expected),
        `step ${step}: ${loss}, stock ${expected}`,
      );
    }
    stock.dispose();
    optimizer.dispose();
    disposeDecoder(decoder);
  });
}
