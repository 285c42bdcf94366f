/** What an objective refuses, and in which words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { InputError, UsageError } from "../../lib/runtime/errors.ts";
import { findObjective, lossOf, type ObjectiveOptions } from "../../lib/objectives/objectives.ts";
import type { Constraint, Objective, ScoredGroup } from "../../lib/objectives/objective.ts";

/** A group that every objective takes; each test spoils one thing. */
const group: ScoredGroup = {
  scores: [-0.9, -1.4, -0.7, -2.6, -1.1],
  lengths: [9, 14, 4, 11, 6],
  correct: [true, true, false, false, true],
  rank: [2, 1, 3, 3, 2],
  reward: [0.3, 0.9, 0.1, 0.5, 0.7],
  referenceLogprobs: [-9.5, -19, -3.5, -27, -7.2],
  reference: 4,
};

function refuses(
  error: typeof InputError,
  message: string,
  call: { name: string; group?: Partial<ScoredGroup>; options?: ObjectiveOptions },
): void {
  const of = () => lossOf(call.name, { ...group, ...call.group }, call.options);
  assert.throws(of, (thrown: Error) => {
    assert.equal(thrown.message, message);
    assert.ok(thrown instanceof error);
    assert.equal(thrown instanceof UsageError, error === UsageError);
    return true;
  });
}

test("an option without a meaning is refused", () => {
  refuses(UsageError, 'Cannot use constraint "cd" with objective aft: expected none, dc, bc', {
    name: "aft",
    options: { constraint: "cd" as Constraint },
  });
  refuses(
    UsageError,
    'Cannot use constraint "dc" with objective rft: expected none (it compares no candidates)',
    { name: "rft", options: { constraint: "dc" } },
  );
  refuses(UsageError, "Cannot use beta 0 with objective dpo: expected a number above 0", {
    name: "dpo",
    options: { beta: 0 },
  });
  refuses(
    UsageError,
    "Cannot use beta -1 with objective aft: expected a number of nats per token from 0 up",
    {
      name: "aft",
      options: { beta: -1 },
    },
  );
  for (const labelSmoothing of [0.5, -0.1]) {
    refuses(
      UsageError,
      `Cannot use labelSmoothing ${labelSmoothing} with objective robust: expected a number from 0 up and below 0.5`,
      { name: "robust", options: { labelSmoothing } },
    );
  }
  refuses(UsageError, "Cannot use lambda NaN with objective orpo: expected a finite number", {
    name: "orpo",
    options: { lambda: NaN },
  });
});

test("feedback of another kind is refused", () => {
  refuses(
    InputError,
    'Cannot use a group with objective aft: expected labels ("correct") for every candidate: ' +
      'got ranks ("rank") and rewards ("reward")',
    { name: "aft", group: { correct: undefined } },
  );
  refuses(
    InputError,
    'Cannot use a group with objective aft-rank: expected ranks ("rank") or rewards ("reward") for every candidate: ' +
      'got labels ("correct")',
    { name: "aft-rank", group: { rank: undefined, reward: undefined } },
  );
  refuses(
    InputError,
    'Cannot use a group with objective rrhf: expected rewards ("reward") or ranks ("rank") or labels ("correct") ' +
      "for every candidate: got no feedback",
    { name: "rrhf", group: { correct: undefined, rank: undefined, reward: undefined } },
  );
});

test("missing log-probs of the reference model name the field and the command", () => {
  for (const name of ["dpo", "ipo", "irpo", "kto"]) {
    for (
      const [candidate, referenceLogprobs] of [[0, undefined], [3, [-1, -2, -3]], [
        1,
        [-1, null as unknown as number, -1, -1, -1],
      ], [2, [-1, -1, NaN, -1, -1]]] as const
    ) {
      refuses(
        InputError,
        `Cannot use a group with objective ${name}: candidate ${candidate} has no field "logprob" from the ` +
          "reference model",
        { name, group: { referenceLogprobs } },
      );
    }
  }
});

test("numbers that are none, and arrays of the wrong length, are refused", () => {
  refuses(InputError, 'Cannot use field "scores" of candidate 1: expected a finite number: got NaN', {
    name: "aft",
    group: { scores: [-1, NaN, -1, -1, -1] },
  });
  refuses(
    InputError,
    'Cannot use field "lengths" of a group: expected one entry for each of 5 scores: got 2',
    { name: "simpo", group: { lengths: [1, 2] } },
  );
  refuses(
    InputError,
    'Cannot use field "correct" of a group: expected one entry for each of 5 scores: got 1',
    { name: "aft", group: { correct: [true] } },
  );
  refuses(InputError, 'Cannot use field "lengths" of candidate 0: expected a finite number: got NaN', {
    name: "dpo",
    group: { lengths: [NaN, 1, 1, 1, 1] },
  });
  refuses(InputError, 'Cannot use field "reward" of candidate 2: expected a finite number: got NaN', {
    name: "pro",
    group: { reward: [1, 2, NaN, 3, 4] },
  });
  refuses(InputError, 'Cannot use field "reference" of a group: expected an index below 5: got 5', {
    name: "vft",
    group: { reference: 5 },
  });
  refuses(
    InputError,
    "Cannot use a group with objective vft: expected a reference: got 5 candidates and none named",
    { name: "vft", group: { reference: undefined } },
  );
});

test("an objective of one's own is checked, trait by trait", () => {
  const mine: Objective = {
    name: "mine",
    title: "Nothing",
    feedback: ["labels"],
    options: {},
    loss: ({ scores }) => ({ value: 0, gradient: new Float64Array(scores.length) }),
  };
  assert.equal(lossOf(mine, group).value, 0);
  for (
    const [wrong, message] of [
      [{ averages: "token" }, 'field "averages" must be one of "questions", "tokens": got "token"'],
      [
        { trainsOn: "all" },
        'field "trainsOn" must be one of "candidates", "samples", "reference", "rejection samples": got "all"',
      ],
      [
        { feedback: ["label"] },
        'field "feedback" must be a list of "labels", "ranks", "rewards": got ["label"]',
      ],
      [{ constraints: "dc" }, 'field "constraints" must be a list of "none", "dc", "bc": got "dc"'],
      [{ addsVft: "no" }, 'field "addsVft" must be true, false or a weight: got "no"'],
      [{ loss: undefined }, 'field "loss" must be a function: got undefined'],
      [{ options: [] }, 'field "options" must be an object, {} for none: got []'],
      [{ options: { beta: 0.1 } }, 'option "beta" must have a default that is a number'],
      [
        { options: { constraint: { default: 1, help: "" } } },
        'no option may be called "constraint", which every objective has',
      ],
      [
        { needsReferenceLogprob: true },
        'it has no field "needsReferenceLogprob": did you mean needsReferenceLogprobs?',
      ],
    ] as const
  ) {
    assert.throws(() => findObjective({ ...mine, ...wrong } as unknown as Objective), {
      name: "UsageError",
      message: `Cannot use objective mine: ${message}`,
    });
  }
  assert.throws(() => findObjective(null as unknown as Objective), {
    message: "Cannot use an objective: expected a name or an object: got null",
  });
  assert.throws(() => findObjective({ ...mine, name: "" }), {
    message: 'Cannot use objective without a name: field "name" must be a text: got ""',
  });
});
