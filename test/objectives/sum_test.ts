/** Objectives added up. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  combine,
  findObjective,
  lossOf,
  type ObjectiveOptions,
  objectives,
} from "../../lib/objectives/objectives.ts";
import type { Objective, ScoredGroup } from "../../lib/objectives/objective.ts";
import type { ObjectivePart } from "../../lib/objectives/sum.ts";
import { learnsReferences } from "../../lib/objectives/sum.ts";
import { resolveSettings } from "../../lib/train/settings.ts";
import { unlikelihood } from "./_unlikelihood.ts";

const group: ScoredGroup = {
  scores: [-0.9, -1.4, -0.7],
  lengths: [9, 14, 4],
  correct: [true, true, false],
  referenceLogprobs: [-9.5, -19, -3.5],
  reference: 0,
};

/** Holds a sum against its parts, each with its weight and options. */
function assertSum(
  sum: string | Objective,
  parts: readonly (readonly [name: string, weight: number, options?: ObjectiveOptions])[],
  options?: ObjectiveOptions,
): void {
  const found = lossOf(sum, group, options);
  const terms = parts.map(([name, weight, own]) => ({ weight, ...lossOf(name, group, own) }));
  const value = terms.reduce((all, term) => all + term.weight * term.value, 0);
  assert.ok(Math.abs(found.value - value) < 1e-12, `${found.value}, expected ${value}`);
  found.gradient.forEach((slope, i) => {
    const expected = terms.reduce((all, term) => all + term.weight * term.gradient[i]!, 0);
    assert.ok(Math.abs(slope - expected) < 1e-12, `∂/∂s_${i}: ${slope}, expected ${expected}`);
  });
}

test("a sum by hand: two of log 2 and three of −s", () => {
  const two = { scores: [-1, -1], lengths: [5, 5], correct: [true, false], reference: 0 };
  const { value, gradient } = lossOf("aft:2:constraint=none,vft:3", two);
  // 2 log(1 + 1) + 3 · 1; 2 · (∓½), and −3 for the reference.
  assert.ok(Math.abs(value - (2 * Math.LN2 + 3)) < 1e-12);
  assert.deepEqual([...gradient], [-4, 1]);
});

test("a sum is its parts with their weights, options and constraints", () => {
  // AFT is trained with dc unless told otherwise, DPO without.
  assertSum("dpo-norm:1,aft:0.5", [["dpo-norm", 1], ["aft", 0.5, { constraint: "dc" }]]);
  assertSum(" dpo-norm : 1 , aft : .5 ", [["dpo-norm", 1], ["aft", 0.5, { constraint: "dc" }]]);
  assertSum("dpo-norm,aft:0.5", [["dpo-norm", 1], ["aft", 0.5, { constraint: "dc" }]], {
    constraint: undefined,
  });
  assertSum("dpo-norm:2:beta=1,aft:0.5:beta=0.1:constraint=bc", [
    ["dpo-norm", 2, { beta: 1 }],
    ["aft", 0.5, { beta: 0.1, constraint: "bc" }],
  ]);
  // A constraint for all is for those that have none of their own; an option for the one that has it.
  assertSum("simpo:1,irpo:1:constraint=none", [
    ["simpo", 1, { constraint: "bc", gamma: 0.1 }],
    ["irpo", 1, { sftWeight: 0.5 }],
  ], { constraint: "bc", gamma: 0.1, sftWeight: 0.5 });
  assertSum("simpo:1,irpo:1:sft-weight=3", [["simpo", 1, { beta: 3 }], ["irpo", 1, { sftWeight: 3 }]], {
    "simpo.beta": 3,
  });
  const parts: ObjectivePart[] = [{ objective: "cpo" }, {
    objective: objectives["aft"]!,
    weight: 2,
    options: { beta: 1 },
  }];
  assertSum(combine(parts), [["cpo", 1], ["aft", 2, { constraint: "dc" }]]);
  assertSum(combine(parts), [["cpo", 1, { constraint: "bc" }], ["aft", 2, { constraint: "bc", beta: 1 }]], {
    constraint: "bc",
  });
});

test("a sum among the parts is its own parts", () => {
  const inner = combine([{ objective: "simpo", weight: 2 }, { objective: "aft" }]);
  const outer = combine([{ objective: inner, weight: 3 }, { objective: "orpo", weight: 0.5 }]);
  assert.equal(outer.name, "simpo:6,aft:3,orpo:0.5");
  assertSum(outer, [["simpo", 6], ["aft", 3, { constraint: "dc" }], ["orpo", 0.5]]);
  assert.throws(() => combine([{ objective: inner, options: { gamma: 1 } }]), {
    message: "Cannot give options to simpo:2,aft:1, which is a sum: give them to its parts",
  });
});

test("W-REINFORCE is a tenth of PSR and NSR: the golden value", () => {
  const golden = {
    scores: [-0.9, -0.6, -1.4, -0.7],
    lengths: [10, 14, 8, 12],
    correct: [true, true, false, false],
  };
  const { value, gradient } = lossOf("psr:0.1,nsr:1", golden);
  assert.ok(Math.abs(value - 0.45) < 1e-12);
  [-0.25, -0.35, 2, 3].forEach((slope, i) => assert.ok(Math.abs(gradient[i]! - slope) < 1e-12));
});

test("tokens' derivatives are added too", () => {
  const tokens = group.scores as number[];
  const seen = {
    ...group,
    tokens: tokens.map((score, c) => new Float64Array(group.lengths[c]!).fill(score)),
  };
  const alone = lossOf(unlikelihood, seen).tokenGradient!;
  const sum = lossOf(combine([{ objective: unlikelihood, weight: 3 }, { objective: "dpo" }]), seen)
    .tokenGradient!;
  sum.forEach((slopes, c) => slopes.forEach((slope, t) => assert.equal(slope, 3 * alone[c]![t]!)));
  const missing = combine([{ objective: unlikelihood }, { objective: "dpo" }]);
  assert.throws(() => lossOf(missing, group), {
    message: "Cannot use a group with objective unlikelihood:1,dpo:1: " +
      "expected 9 log-probs in tokens of candidate 1: got none",
  });
});

test("a sum needs what any of its parts needs", () => {
  const sum = findObjective("simpo:1,aft:0.5,vft:2");
  assert.deepEqual(sum.feedback, ["labels"]);
  assert.deepEqual([sum.needsReferenceLogprobs, sum.needsTokens, sum.addsVft], [false, false, 0.5]);
  assert.equal(learnsReferences(findObjective("simpo:1,vft:1")), true);
  assert.equal(learnsReferences(findObjective("simpo:1,dpo:1")), false);
  assert.equal(findObjective("simpo:1,dpo:1").needsReferenceLogprobs, true);
  assert.deepEqual(findObjective("rrhf,dpo").feedback, ["rewards", "ranks", "labels"]);
  assert.equal(findObjective("rloo,grpo").trainsOn, "samples");
  assert.deepEqual([findObjective("rloo,grpo").learnsFrom, findObjective("psr,nsr").learnsFrom], [
    "pair",
    "any",
  ]);
});

test("a run keeps every option of every part", () => {
  const { objectiveOptions } = resolveSettings({ objective: "simpo:1,aft:0.5", options: { gamma: 1 } }).loss;
  assert.deepEqual(objectiveOptions, {
    constraint: "none",
    "simpo.beta": 2.5,
    "simpo.gamma": 1,
    "simpo.boundary": 0.2,
    "simpo.constraint": "none",
    "aft.beta": 0.2,
    "aft.constraint": "dc",
  });
});

test("what cannot be added is refused, by name", () => {
  const refuses = (sum: string, message: string, options: ObjectiveOptions = {}) =>
    assert.throws(() => lossOf(sum, group, options), { name: "UsageError", message });
  refuses(
    "aft:1,aft-rank:1",
    "Cannot add aft and aft-rank: aft learns from labels, aft-rank from ranks or rewards",
  );
  refuses(
    "dpo,rft:1",
    "Cannot add dpo and rft: the loss of rft is a mean over tokens, that of a sum one over questions",
  );
  refuses(
    "rloo,aft",
    "Cannot add rloo and aft: rloo trains on the model's own samples alone, aft trains on candidates and the reference",
  );
  refuses(
    "rloo,vft",
    "Cannot add rloo and vft: rloo trains on the model's own samples alone, vft on the reference",
  );
  refuses("dpo,aft,dpo", "Cannot add dpo and aft and dpo: dpo is there twice");
  refuses("vft:2", "Cannot add vft: a sum needs an objective that compares candidates");
  refuses("aft:-1,dpo", "Cannot add aft and dpo: the weight of aft must be above 0: got -1");
  refuses("aft:x", 'Cannot read objective "aft:x": the weight of aft must be a number: got "x"');
  refuses("aft:1:beta=", 'Cannot read objective "aft:1:beta=": beta of aft must be a number: got ""');
  refuses(
    "aft:1:2",
    'Cannot read objective "aft:1:2": what stands behind the weight of aft must be OPTION=VALUE: got "2"',
  );
  refuses(
    "aft:constraint=cd",
    'Cannot read objective "aft:constraint=cd": constraint of aft must be none, dc, bc: got "cd"',
  );
  refuses(
    "aft,",
    'Cannot read objective "aft,": expected NAME:WEIGHT, several with commas, such as "dpo-norm:1,aft:0.5"',
  );
  refuses("aft:0x10", 'Cannot read objective "aft:0x10": the weight of aft must be a number: got "0x10"');
  refuses("aft:1:beta=1:beta=2", 'Cannot read objective "aft:1:beta=1:beta=2": beta of aft is there twice');
  refuses(
    "simpo:1:gamma=1,aft",
    "Cannot use option `gamma` with objective simpo:1,aft:1: gamma of simpo is given twice",
    { gamma: 2 },
  );
  refuses("aft:1:gama=1", "Cannot use option `gama` with objective aft: it has beta");
  refuses("psr,nsr", 'Cannot use constraint "dc" with objective psr:1,nsr:1: none of them knows it', {
    constraint: "dc",
  });
  refuses(
    "dpo,aft:0.5",
    "Cannot tell whose beta is meant with objective dpo:1,aft:0.5: dpo and aft have it; give it to each, as in dpo:1:beta=3",
    { beta: 3 },
  );
  refuses(
    "simpo,aft",
    "Cannot use option `gama` with objective simpo:1,aft:1: it has simpo.beta, simpo.gamma, simpo.boundary, aft.beta",
    { gama: 1 },
  );
  assert.throws(() => findObjective("drpo,aft"), /got "drpo": did you mean dpo\?$/);
  assert.throws(() => findObjective("sigmoid_norm"), /: did you mean dpo-norm\?$/);
  assert.throws(() => findObjective("APO_zero"), /: did you mean apo-zero\?$/);
  assert.throws(() => combine([]), { message: "Cannot add objectives: got none" });
});
