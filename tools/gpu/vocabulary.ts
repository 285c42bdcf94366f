/** Kernels over the vocabulary: the table of tokens, the loss, the draw of a token. */

import { embedding, embeddingGradient } from "../../lib/kernels/vocabulary/embedding.ts";
import {
  linearLogprob,
  linearLogprobGradient,
  makeLabels,
} from "../../lib/kernels/vocabulary/linear_logprob.ts";
import { sample, type Sampling } from "../../lib/kernels/vocabulary/sample.ts";
import { Inputs } from "./_inputs.ts";
import { type Kernel, numbers } from "./kernel.ts";
import { flatBatch } from "./shapes.ts";

/** A draw of one token a row. */
function drawn(name: string, sampling: Sampling): Kernel {
  return {
    name,
    prepare(device, { sequences: rows, vocabulary }) {
      const inputs = new Inputs(device), logits = inputs.normal(rows, vocabulary);
      const count = Int32Array.from({ length: rows }, (_, i) => i);
      const streams = inputs.integers(count), counters = inputs.integers(count.map((i) => 7 * i));
      return {
        shape: `${rows}×${vocabulary}`,
        flops: 4 * rows * vocabulary,
        bytes: numbers(rows * vocabulary, 3 * rows),
        call: () => [sample(logits, { ...sampling, streams, counters })],
        dispose: () => inputs[Symbol.dispose](),
      };
    },
  };
}

/** Every kernel over the vocabulary. */
export const vocabulary: readonly Kernel[] = [
  {
    name: "embedding",
    prepare(device, shape) {
      const inputs = new Inputs(device), { ids } = flatBatch(shape), { width, vocabulary } = shape;
      const table = inputs.normal(vocabulary, width), list = inputs.integers(ids);
      return {
        shape: `${ids.length} of ${vocabulary}×${width}`,
        flops: 0,
        bytes: numbers(2 * ids.length * width, ids.length),
        call: () => [embedding(table, list)],
        dispose: () => inputs[Symbol.dispose](),
      };
    },
  },
  {
    name: "embedding, gradient",
    prepare(device, shape) {
      const inputs = new Inputs(device), { ids } = flatBatch(shape), { width, vocabulary } = shape;
      const dy = inputs.normal(ids.length, width), dtable = inputs.zeros(vocabulary, width);
      return {
        shape: `${ids.length} of ${vocabulary}×${width}`,
        flops: ids.length * width,
        bytes: numbers(ids.length * width, 2 * new Set(ids).size * width),
        call() {
          embeddingGradient(ids, dy, dtable);
          return [];
        },
        changed: [dtable],
        dispose: () => inputs[Symbol.dispose](),
      };
    },
  },
  {
    name: "linear-log-prob",
    prepare(device, shape) {
      const inputs = new Inputs(device), host = flatBatch(shape), { width, vocabulary } = shape;
      const hidden = inputs.normal(host.ids.length, width), weight = inputs.normal(vocabulary, width);
      const labels = inputs.own(makeLabels(device, host.labels)), { rowCount: rows, pairCount } = labels;
      return {
        shape: `${rows}×${vocabulary}×${width}`,
        flops: 2 * rows * vocabulary * width,
        bytes: numbers(rows * width, vocabulary * width, 2 * pairCount),
        call() {
          const { logprobs, lse, largest } = linearLogprob(hidden, weight, { labels, keep: false });
          return [logprobs, lse, largest];
        },
        dispose: () => inputs[Symbol.dispose](),
      };
    },
  },
  {
    name: "linear-log-prob and gradient",
    // Sums over the vocabulary and over all rows, of terms of either sign.
    tolerance: 2e-4,
    prepare(device, shape) {
      const inputs = new Inputs(device), host = flatBatch(shape), { width, vocabulary } = shape;
      const hidden = inputs.normal(host.ids.length, width), weight = inputs.normal(vocabulary, width);
      const labels = inputs.own(makeLabels(device, host.labels)), { rowCount: rows, pairCount } = labels;
      const dlogprobs = inputs.normal(pairCount), dweight = inputs.zeros(vocabulary, width);
      return {
        shape: `${rows}×${vocabulary}×${width}`,
        flops: 6 * rows * vocabulary * width,
        bytes: numbers(2 * rows * width, 3 * vocabulary * width, 2 * pairCount),
        call() {
          using forward = linearLogprob(hidden, weight, { labels });
          return [linearLogprobGradient(forward, dlogprobs, { hidden, weight, labels, dweight })];
        },
        changed: [dweight],
        dispose: () => inputs[Symbol.dispose](),
      };
    },
  },
  drawn("draw", { temperature: 1, topK: 0, topP: 1 }),
  drawn("draw, greedy", { temperature: 0, topK: 0, topP: 1 }),
  drawn("draw, top k and top p", { temperature: 0.8, topK: 50, topP: 0.9 }),
];
