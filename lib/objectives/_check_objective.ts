/**
 * An objective of the caller's own, checked when it is handed over: a mistyped trait would otherwise train another method
 * without a word.
 */
import { UsageError } from "../runtime/errors.ts";
import { suggestion } from "../runtime/suggestion.ts";
import { constraints } from "./_options.ts";
import { feedbackKinds } from "./feedback.ts";
import type { NumberOption, Objective } from "./objective.ts";

/** Whether a value serves, and the words for what does. */
interface Rule {
  readonly serves: (value: unknown) => boolean;
  readonly words: string;
  readonly optional?: true;
}

const quoted = (words: readonly string[]) => words.map((word) => `"${word}"`).join(", ");
const listOf = (words: readonly string[]) => ({
  serves: (value: unknown) => Array.isArray(value) && value.every((word) => words.includes(word)),
  words: `a list of ${quoted(words)}`,
});
const oneOf = (...words: readonly string[]) => ({
  serves: (value: unknown) => typeof value === "string" && words.includes(value),
  words: `one of ${quoted(words)}`,
  optional: true,
} as const);
const text = { serves: (value: unknown) => typeof value === "string" && value !== "", words: "a text" };
const flag = {
  serves: (value: unknown) => typeof value === "boolean",
  words: "true or false",
  optional: true,
} as const;

const rules: Readonly<Record<keyof Objective, Rule>> = {
  name: text,
  title: text,
  feedback: listOf(feedbackKinds),
  needsReferenceLogprobs: flag,
  needsTokens: flag,
  constraints: { ...listOf(constraints), optional: true },
  trainingConstraint: oneOf(...constraints),
  boundary: { ...text, optional: true },
  boundaryActs: flag,
  addsVft: {
    serves: (value) =>
      typeof value === "boolean" || typeof value === "number" && value >= 0 && value < Infinity,
    words: "true, false or a weight",
    optional: true,
  },
  averages: oneOf("questions", "tokens"),
  trainsOn: oneOf("candidates", "samples", "reference", "rejection samples"),
  learnsFrom: oneOf("pair", "right", "wrong", "any"),
  options: {
    serves: (value) => typeof value === "object" && value !== null && !Array.isArray(value),
    words: "an object, {} for none",
  },
  loss: { serves: (value) => typeof value === "function", words: "a function" },
};

/** The same objective. Throws UsageError, naming the field, for an object that is none. */
export function checkObjective(spec: Objective): Objective {
  if (typeof spec !== "object" || spec === null) {
    throw new UsageError(`Cannot use an objective: expected a name or an object: got ${spec}`);
  }
  const refuse = (what: string): never => {
    throw new UsageError(
      `Cannot use objective ${text.serves(spec.name) ? spec.name : "without a name"}: ${what}`,
    );
  };
  const names = Object.keys(rules);
  for (const field of Object.keys(spec)) {
    if (!names.includes(field)) refuse(`it has no field "${field}"${suggestion(field, names)}`);
  }
  for (const [field, { serves, words, optional }] of Object.entries(rules)) {
    const value = spec[field as keyof Objective] as unknown;
    if (optional && value === undefined) continue;
    if (!serves(value)) refuse(`field "${field}" must be ${words}: got ${JSON.stringify(value) ?? value}`);
  }
  if (spec.needsTokens && spec.averages === "tokens") {
    refuse('with averages "tokens" its loss is not asked, so needsTokens has no meaning');
  }
  for (const [option, given] of Object.entries(spec.options as Readonly<Record<string, NumberOption>>)) {
    if (option === "constraint") refuse('no option may be called "constraint", which every objective has');
    if (typeof given?.default !== "number") refuse(`option "${option}" must have a default that is a number`);
  }
  return spec;
}
