/**
 * Throughput of every objective: groups a second by number of candidates. Pure CPU work in float64.
 *
 *   deno bench bench/objectives_bench.ts
 */
import { Random } from "../lib/data/random.ts";
import type { ScoredGroup } from "../lib/objectives/objective.ts";
import { lossOf, objectives } from "../lib/objectives/objectives.ts";

function group(candidates: number): ScoredGroup {
  const random = new Random(1, { stream: `${candidates}` });
  const scores = Array.from({ length: candidates }, () => -2 * random.next());
  return {
    scores,
    lengths: scores.map(() => 20 + random.integer(100)),
    correct: scores.map((_, i) => i % 2 === 0),
    rank: scores.map((_, i) => 1 + (i % 5)),
    reward: scores.map((_, i) => 5 - (i % 5)),
    referenceLogprobs: scores.map((s) => 60 * s - random.next()),
    reference: 0,
  };
}

for (const candidates of [2, 6, 16, 64]) {
  const scored = group(candidates);
  for (const [name, objective] of Object.entries(objectives)) {
    const constraint = objective.trainingConstraint ?? "none";
    Deno.bench({
      name,
      group: `one question, ${candidates} candidates`,
      baseline: name === "vft",
      fn: () => void lossOf(objective, scored, { constraint }),
    });
  }
}
