/**
 * A data set of your own: an object that says what its rows are, how they read and what its answers are goes where a data
 * set's name goes.
 *
 *   deno run -A examples/own_data.ts
 */
import { evaluate, loadDataset, loadModel, type OwnDataSet, summarize, train } from "../mod.ts";

/** Sums of two numbers, with the chain of thought to learn; a file's path could stand for the rows. */
const pens: OwnDataSet = {
  name: "pens",
  kind: "number",
  template: "Question: {question}\nAnswer:",
  splits: ["train", "test"],
  needs: ["answer", "reference"],
  rows: (split) => {
    const [from, count] = split === "test" ? [100, 8] : [0, 96];
    return Array.from({ length: count }, (_, i) => {
      return { a: 2 + ((from + i) * 7) % 19, b: 3 + ((from + i) * 5) % 17 };
    });
  },
  read: ({ a, b }) => {
    const sum = Number(a) + Number(b);
    return {
      question: `Tom has ${a} pens. He buys ${b} more. How many pens does Tom have?`,
      answer: sum,
      reference: `${a} + ${b} = ${sum}. #### ${sum}`,
    };
  },
};

using model = await loadModel("fixtures/base");
for await (
  const { step, loss } of train(model, loadDataset(pens), { objective: "vft", epochs: 4, learningRate: 1e-3 })
) {
  console.log(`step ${step}: loss ${loss.toFixed(3)}`);
}
const { questions, accuracy } = summarize(
  await Array.fromAsync(evaluate(model, loadDataset(pens, { split: "test" }), { maxTokens: 48 })),
);
console.log(`accuracy ${accuracy} on ${questions} questions`);
