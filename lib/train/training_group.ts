import { selectRejectionSamples } from "../data/equations.ts";
import type { PromptOptions } from "../data/prompts.ts";
import type { Candidate, Group, Problem } from "../data/records.ts";
import { type TrainTurns, turnsOf } from "../data/train_turns.ts";
import { promptDigest } from "../model/digests.ts";
import { encodePrompt, encodeResponse } from "../model/encode.ts";
import type { Model } from "../model/model.ts";
import { feedbackFields, feedbackKinds, kindUsed } from "../objectives/feedback.ts";
import type { Feedback, Objective } from "../objectives/objective.ts";
import { InputError } from "../runtime/errors.ts";
import type { TrainingGroup } from "./step.ts";

/** How records become what a step trains on. */
export interface EncodeGroupOptions {
  readonly objective: Objective;
  readonly prompt?: PromptOptions;
  /** Which answers of a conversation an objective that trains on references takes (default all). */
  readonly trainTurns?: TrainTurns | undefined;
}

/** A group and what was left out of it. */
export interface EncodedGroup {
  /** Absent when nothing of the record can be trained on. */
  readonly group?: TrainingGroup;
  /** Candidates left out because prompt and response together exceed the context. */
  readonly tooLong: number;
  /** Empty references and empty right candidates, left out: they would teach to say nothing. */
  readonly blank: number;
  /** Whether the record was scored behind another prompt, where its log-probs are not used. */
  readonly otherPrompt?: boolean;
  /** Why the whole record is: every response of it is marked wrong, and the objective trains on right ones alone. */
  readonly leftOut?: "wrong";
}

/**
 * A record's groups: one for each of the assistant's turns that is trained on (`turnsOf`), the last one's last. Candidates
 * answer the last question, so an objective that trains on more than references has that turn alone.
 *
 * @throws {InputError} when the record lacks what the objective needs
 */
export function encodeTurns(
  model: Model,
  record: Group | Problem,
  options: EncodeGroupOptions,
): EncodedGroup[] {
  const all = options.objective.trainsOn === "reference" && options.trainTurns !== "last" &&
    !allWrong(record);
  const turns = all ? turnsOf(record) : [record];
  // A conversation that ends in a question has its answers before it.
  if (turns.length > 1 && record.reference === undefined) turns.pop();
  return turns.map((turn) => encodeGroup(model, turn, options));
}

/**
 * The tokens and feedback of one record.
 *
 * `vft` trains on the reference; `rft` on the reference and the rejection samples; policy gradients on the candidates; every
 * other objective on the candidates and the reference, which takes the place of a candidate with the same text, or comes
 * first. A candidate that is left out is as if it had never been there.
 *
 * @throws {InputError} when the record lacks what the objective needs
 */
export function encodeGroup(
  model: Model,
  record: Group | Problem,
  options: EncodeGroupOptions,
): EncodedGroup {
  const { objective } = options, { trainsOn = "candidates" } = objective;
  if ((trainsOn === "reference" || trainsOn === "rejection samples") && allWrong(record)) {
    return { tooLong: 0, blank: 0, leftOut: "wrong" };
  }
  const prompt = encodePrompt(model, record, options.prompt);
  const otherPrompt = record.prompt_digest !== undefined &&
    (trainsOn === "candidates" || trainsOn === "samples") &&
    record.prompt_digest !== promptDigest(prompt);
  if (otherPrompt && objective.needsReferenceLogprobs) throw behindAnother(record, prompt, objective);
  const all = chosenBy[trainsOn](record, objective);
  const chosen = all.filter(({ candidate: { text, correct, tool_calls: calls } }) =>
    !correct || calls !== undefined || text.trim() !== ""
  );
  const blank = all.length - chosen.length;
  const context = model.config.maxPositions;
  const place = { problem: record, prompt: options.prompt };
  const encoded = chosen.map((entry) => ({ ...entry, ids: encodeResponse(model, entry.candidate, place) }));
  // The last response token needs no position, since nothing is predicted from it.
  const fitting = encoded.filter(({ ids }) => ids.length > 0 && prompt.length + ids.length - 1 <= context);
  const tooLong = encoded.filter(({ ids }) => prompt.length + ids.length - 1 > context).length;
  if (fitting.length === 0) return { tooLong, blank, otherPrompt };
  const feedback = feedbackOf(record.id, fitting, options);
  return {
    tooLong,
    blank,
    otherPrompt,
    group: { id: record.id, tokens: { prompt, responses: fitting.map((e) => e.ids) }, feedback },
  };
}

/** The error for reference log-probs that stand behind another prompt than the one that is trained. */
function behindAnother(record: Problem, prompt: readonly number[], { name }: Objective): InputError {
  return new InputError(
    `Cannot train ${name} on "${record.id}": its prompt differs from the one that its log-probs were made behind ` +
      `(prompt_digest ${record.prompt_digest} there, ${
        promptDigest(prompt)
      } here): train with the template, system ` +
      "text, examples and tokenizer that it was scored with, or score it anew with these",
  );
}

/** Whether a record has responses, and none that may be trained on as an example. */
function allWrong({ reference, candidates = [] }: Problem): boolean {
  return reference === undefined && candidates.length > 0 &&
    candidates.every(({ correct }) => correct === false);
}

interface Entry {
  readonly candidate: Candidate;
  readonly reference: boolean;
  /** A reference that is no candidate, so that nobody rated it: it counts as one of the best. */
  readonly unrated?: boolean;
}

/** What each kind of objective trains on. */
const chosenBy: Readonly<
  Record<NonNullable<Objective["trainsOn"]>, (record: Problem, objective: Objective) => Entry[]>
> = {
  candidates: withReference,
  samples: ({ candidates = [] }) => candidates.map((candidate) => ({ candidate, reference: false })),
  reference: (record, objective) => [referenceOf(record, objective)],
  "rejection samples": rejectionSamples,
};

function referenceOf(record: Problem, { name }: Objective): Entry {
  if (record.reference === undefined) {
    throw new InputError(`Cannot train ${name} on "${record.id}": field "reference" is missing`);
  }
  const { reference: text, reference_tool_calls: calls } = record;
  return { candidate: { text, correct: true, ...(calls && { tool_calls: calls }) }, reference: true };
}

function rejectionSamples(record: Problem, objective: Objective): Entry[] {
  const { candidates = [] } = record;
  // Without labels none would be kept, and RFT would be VFT without a word.
  if (candidates.some(({ correct }) => correct === undefined)) {
    throw lacking(record.id, candidates, { objective, wanted: ["labels"] });
  }
  const kept = selectRejectionSamples(candidates, record.reference);
  const samples = kept.map((candidate) => ({ candidate, reference: false }));
  return record.reference === undefined ? samples : [referenceOf(record, objective), ...samples];
}

function withReference(record: Problem, objective: Objective): Entry[] {
  const candidates = record.candidates ?? [], { reference } = record;
  const entries = candidates.map((candidate) => ({ candidate, reference: false }));
  if (reference === undefined) return entries;
  const same = candidates.findIndex((c) => c.text === reference);
  const others = entries.filter(({ candidate }) => candidate.text !== reference);
  const logprob = same >= 0 ? candidates[same].logprob : record.reference_logprob as number | undefined;
  if (objective.needsReferenceLogprobs && logprob === undefined) return entries;
  if (same >= 0) return [{ candidate: { ...candidates[same], correct: true }, reference: true }, ...others];
  const calls = record.reference_tool_calls;
  const rated = { logprob, ...bestRating(candidates) };
  const candidate: Candidate = {
    text: reference,
    ...(calls && { tool_calls: calls }),
    correct: true,
    ...rated,
  };
  return [{ candidate, reference: true, unrated: true }, ...others];
}

/** The best rank and the best reward of some candidates, where any have them. */
function bestRating(candidates: readonly Candidate[]): Pick<Candidate, "rank" | "reward"> {
  const ranks = candidates.map((c) => c.rank).filter((r) => r !== undefined);
  const rewards = candidates.map((c) => c.reward).filter((r) => r !== undefined);
  return {
    ...(ranks.length > 0 && { rank: Math.min(...ranks) }),
    ...(rewards.length > 0 && { reward: Math.max(...rewards) }),
  };
}

/** The error for candidates without the feedback that the objective learns from: what they have, what to do. */
function lacking(
  id: string,
  candidates: readonly Candidate[],
  { objective, wanted }: { readonly objective: Objective; readonly wanted: readonly Feedback[] },
): InputError {
  const quoted = (kinds: readonly Feedback[]) =>
    kinds.map((kind) => `"${feedbackFields[kind]}"`).join(" or ");
  const found = feedbackKinds.flatMap((kind) => {
    const count = candidates.filter((candidate) => candidate[feedbackFields[kind]] !== undefined).length;
    return count > 0 ? [`"${feedbackFields[kind]}" in ${count} of ${candidates.length}`] : [];
  });
  return new InputError(
    `Cannot train ${objective.name} on "${id}": every candidate must have ${quoted(wanted)}: got ${
      found.join(", ") || "none of that"
    }`,
    { code: "no-feedback", fields: { objective: objective.name, id, wanted } },
  );
}

function feedbackOf(
  id: string,
  entries: readonly Entry[],
  options: EncodeGroupOptions,
): TrainingGroup["feedback"] {
  const { objective } = options;
  const reference = entries.findIndex((e) => e.reference);
  // Of those that are left: a better one that is too long is as if it had never been there.
  const best = bestRating(entries.filter((e) => !e.unrated).map((e) => e.candidate));
  const candidates = entries.map(({ candidate, unrated }) => unrated ? { ...candidate, ...best } : candidate);
  const all = <T>(get: (c: Candidate) => T | undefined): T[] | undefined => {
    const values = candidates.map(get);
    return values.every((v) => v !== undefined) ? values as T[] : undefined;
  };
  const known = { labels: all((c) => c.correct), ranks: all((c) => c.rank), rewards: all((c) => c.reward) };
  const kind = kindUsed(objective.feedback, (k) => known[k] !== undefined);
  if (objective.feedback.length > 0 && !kind) {
    const candidates = entries.filter((e) => !e.reference).map((e) => e.candidate);
    throw lacking(id, candidates, { objective, wanted: objective.feedback });
  }
  const referenceLogprobs = objective.needsReferenceLogprobs ? all((c) => c.logprob) : undefined;
  if (objective.needsReferenceLogprobs && !referenceLogprobs) {
    throw new InputError(
      `Cannot train ${objective.name} on "${id}": every candidate must have "logprob", its log-prob under the model ` +
        "before training",
      { code: "no-reference-logprobs", fields: { objective: objective.name } },
    );
  }
  // Only the feedback that the objective uses, so that what is logged is measured by it too.
  return {
    ...(reference >= 0 && { reference }),
    ...((kind === "labels" || !kind) && { correct: known.labels }),
    ...(kind === "ranks" && { rank: known.ranks }),
    ...(kind === "rewards" && { reward: known.rewards }),
    referenceLogprobs,
  };
}
