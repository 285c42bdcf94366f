/**
 * All of Alignment Fine-Tuning as one call, with live metrics, and a signal that ends it.
 *
 *   deno run -A examples/align_as_function.ts [DIRECTORY]
 */
import process from "node:process";
import { align } from "../mod.ts";

const stop = new AbortController();
process.once("SIGINT", () => stop.abort());

const { rows } = await align(
  {
    out: process.argv[2] ?? "runs/example",
    overwrite: true,
    limit: 16,
    testLimit: 8,
    epochs: 1,
    alignEpochs: 1,
    samples: 2,
    votes: 0,
    maxTokens: 32,
    constraints: "bc",
    signal: stop.signal,
  },
  {
    metrics: (model, { step, loss }) => console.log(`${model} step ${step}: loss ${Number(loss).toFixed(3)}`),
    warn: (line) => console.error(line),
  },
);
for (const { name, summary } of rows) console.log(name, summary.accuracy);
