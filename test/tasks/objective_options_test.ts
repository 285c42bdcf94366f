/** Flags of the objectives' options, and what has no flag because the task has it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Objective } from "../../lib/objectives/objective.ts";
import { objectives } from "../../lib/objectives/objectives.ts";
import { UsageError } from "../../lib/runtime/errors.ts";
import { checkObjectiveFlags, objectiveOptions, objectiveValues } from "../../tasks/cli/objective_options.ts";
import { common } from "../../tasks/cli/shared_options.ts";
import { trainingOptions } from "../../tasks/cli/training.ts";

const own = { ...trainingOptions, ...common };
const numbers = { default: 1, help: "Something" };
const objective = (...names: string[]): Objective => ({
  name: "mine",
  title: "Mine",
  feedback: [],
  options: Object.fromEntries(names.map((name) => [name, numbers])),
  loss: () => ({ value: 0, gradient: new Float64Array() }),
});

test("an option with the flag of a training's is refused in one line", () => {
  for (const name of ["clip", "seed", "learningRate", "debug"]) {
    const spec = objective("alpha", name), flag = `--${name === "learningRate" ? "learning-rate" : name}`;
    assert.throws(
      () => checkObjectiveFlags(spec, own),
      new UsageError(
        `Cannot use objective mine here: its "${name}" would have the flag ${flag} of the training; call it something else`,
        {},
      ),
    );
  }
});

test("every objective of the table has flags of its own; what is given reaches it by name", () => {
  for (const spec of Object.values(objectives)) checkObjectiveFlags(spec, own);
  const given = { ...own, beta: 0.3, gamma: undefined, clip: 2 };
  assert.deepEqual(objectiveValues(given), { beta: 0.3 });
  assert.equal(objectiveOptions["undesirableWeight"]!.flag, "--undesirable-weight");
});
