/** An objective's loss, held to what it promises: one that is not a number would spoil a whole training. */

import { InputError } from "../runtime/errors.ts";
import type { ResolvedOptions } from "./_options.ts";
import type { Objective, ObjectiveResult, ScoredGroup } from "./objective.ts";

/**
 * The loss of one question with options that are resolved.
 *
 * @throws {InputError} naming the objective, when it returns something else than finite numbers, one a candidate
 */
export function checkedLoss(
  spec: Objective,
  group: ScoredGroup,
  options: ResolvedOptions,
): ObjectiveResult {
  if (spec.needsTokens) requireTokens(spec.name, group);
  const result = spec.loss(group, options as never), { value, gradient, tokenGradient } = result ?? {};
  const bad = (what: string) => new InputError(`Cannot use objective ${spec.name}: ${what}`);
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw bad(`its value must be a finite number: got ${value}`);
  }
  if (gradient?.length !== group.scores.length) {
    throw bad(
      `its gradient must have ${group.scores.length} numbers, one a candidate: got ${
        gradient?.length ?? "none"
      }`,
    );
  }
  const at = Array.prototype.findIndex.call(gradient, (slope: number) => !Number.isFinite(slope));
  if (at >= 0) throw bad(`its gradient must be finite: got ${gradient[at]} for candidate ${at + 1}`);
  if (tokenGradient === undefined) return result;
  if (!spec.needsTokens) throw bad("it returns a tokenGradient without needsTokens");
  if (tokenGradient.length !== group.scores.length) {
    throw bad(
      `its tokenGradient must have ${group.scores.length} lists, one a candidate: got ${tokenGradient.length}`,
    );
  }
  for (const [c, slopes] of tokenGradient.entries()) {
    const place = `its tokenGradient of candidate ${c + 1}`;
    if (slopes.length !== group.lengths[c]) {
      throw bad(`${place} must have ${group.lengths[c]} numbers, one a token: got ${slopes.length}`);
    }
    const token = slopes.findIndex((slope) => !Number.isFinite(slope));
    if (token >= 0) throw bad(`${place} must be finite: got ${slopes[token]} for token ${token + 1}`);
  }
  return result;
}

/** Refuses a group that lacks the log-prob of a token. */
function requireTokens(name: string, { lengths, tokens }: ScoredGroup): void {
  const missing = Array.from(lengths).findIndex((length, c) => tokens?.[c]?.length !== length);
  if (missing < 0) return;
  throw new InputError(
    `Cannot use a group with objective ${name}: expected ${
      lengths[missing]
    } log-probs in tokens of candidate ` +
      `${missing + 1}: got ${tokens?.[missing]?.length ?? "none"}`,
  );
}
