/**
 * Records of your own, made by a program: any iterable of problems goes where a data set goes.
 *
 *   deno run -A examples/own_data.ts
 */
import { evaluate, loadModel, summarize, train } from "../mod.ts";

/** Sums of two numbers, with the chain of thought to learn. */
function* sums(from: number, count: number) {
  for (let i = from; i < from + count; i++) {
    const a = 2 + (i * 7) % 19, b = 3 + (i * 5) % 17;
    yield {
      id: `sum-${i}`,
      question: `Tom has ${a} pens. He buys ${b} more. How many pens does Tom have?`,
      answer: String(a + b),
      reference: `${a} + ${b} = ${a + b}. #### ${a + b}`,
    };
  }
}

using model = await loadModel("fixtures/base");
for await (
  const { step, loss } of train(model, sums(0, 96), { objective: "vft", epochs: 4, learningRate: 1e-3 })
) {
  console.log(`step ${step}: loss ${loss.toFixed(3)}`);
}
const { questions, accuracy } = summarize(
  await Array.fromAsync(evaluate(model, sums(100, 8), { maxTokens: 48 })),
);
console.log(`accuracy ${accuracy} on ${questions} questions`);
