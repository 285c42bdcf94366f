/** Which kinds of model `align` trains on candidates: an objective, under each constraint that was asked for. */

import type { Constraint, Objective } from "../objectives/objective.ts";
import { findObjective } from "../objectives/objectives.ts";
import { termsOf } from "../objectives/sum.ts";
import { UsageError } from "../runtime/errors.ts";
import { resolveSettings } from "../train/settings.ts";
import type { TrainOptions } from "../train/trainer.ts";

/** What is asked for. */
export interface MethodChoice {
  readonly objective: string;
  readonly constraints?: "all" | Constraint | undefined;
  /** AFT's width of the boundary, and of others what they call beta. */
  readonly beta?: number | undefined;
  readonly options?: Readonly<Record<string, number>> | undefined;
  /** What marks candidates. */
  readonly labels: "answer" | "majority";
}

/** A kind of model that is trained on candidates. */
export interface AlignMethod {
  /** "aft-dc", "rloo": its row's name in the first round. */
  readonly kind: string;
  readonly objective: Objective;
  readonly settings: Pick<TrainOptions, "objective" | "constraint" | "options">;
}

const constraintsOf = (objective: Objective): readonly Constraint[] => {
  const known = new Set(
    (termsOf(objective) ?? [{ objective }]).flatMap(({ objective }) => objective.constraints ?? []),
  );
  return known.size === 0 ? ["none"] : [...known];
};

/**
 * AFT under all constraints unless told otherwise, any other objective under its own.
 *
 * @throws {UsageError} for an objective, an option or a constraint that has no meaning, and for one that the candidates of
 * align have no feedback for
 */
export function alignMethods(choice: MethodChoice): AlignMethod[] {
  const { objective: name, labels } = choice, objective = findObjective(name);
  const { beta = choice.beta, ...others } = choice.options ?? {};
  if (choice.beta !== undefined && beta !== choice.beta) {
    throw new UsageError(`Option beta is given twice: ${choice.beta}, and ${beta} in options`);
  }
  if (objective.trainsOn === "reference") {
    throw new UsageError(
      `Cannot align with objective ${name}: it trains on references alone, as what align starts from does, and its control`,
    );
  }
  const found = labels === "answer" ? ["labels"] : ["labels", "ranks", "rewards"];
  if (objective.feedback.length > 0 && !objective.feedback.some((kind) => found.includes(kind))) {
    const help = objective.feedback.includes("rewards") || objective.feedback.includes("ranks")
      ? "; with option `label: majority` their votes are ranks and rewards"
      : "";
    throw new UsageError(
      `Cannot align with objective ${name}: it learns from ${
        objective.feedback.join(" or ")
      }, and candidates are marked right or wrong${help}`,
    );
  }
  const { constraints = name === "aft" ? "all" : undefined } = choice;
  const chosen = constraints === "all" ? constraintsOf(objective) : [constraints];
  return chosen.map((constraint) => {
    // AFT's boundary acts with bc alone.
    const width = beta !== undefined && (objective.boundary !== "beta" || constraint === "bc") && { beta };
    const options = { ...others, ...width };
    const settings = {
      objective: name,
      constraint,
      ...(Object.keys(options).length > 0 && { options }),
    };
    resolveSettings(settings);
    return {
      kind: constraint === undefined ? objective.name : `${objective.name}-${constraint}`,
      objective,
      settings,
    };
  });
}
