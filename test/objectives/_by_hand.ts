import assert from "node:assert/strict";
import { lossOf, type ObjectiveOptions } from "../../lib/objectives/objectives.ts";
import type { ScoredGroup } from "../../lib/objectives/objective.ts";

/** Holds an objective's value and derivatives against numbers worked out by hand. */
export function check(
  name: string,
  group: Omit<ScoredGroup, "lengths"> & { lengths?: number[] },
  expected: { options?: ObjectiveOptions; value: number; gradient: number[] },
): void {
  const lengths = group.lengths ?? Array.from(group.scores, () => 7); // 7: a length that must not matter
  const { value, gradient } = lossOf(name, { ...group, lengths }, expected.options);
  const where = `${name} ${JSON.stringify(expected.options ?? {})}`;
  assert.ok(Math.abs(value - expected.value) < 1e-12, `${where}: value ${value}, expected ${expected.value}`);
  assert.equal(gradient.length, expected.gradient.length);
  gradient.forEach((slope, i) => {
    assert.ok(Math.abs(slope - expected.gradient[i]) < 1e-12, `${where}: gradient ${gradient}`);
  });
}
