/** Methods of a study: how a model is trained after VFT, and on which of its candidates. */

import { createHash } from "node:crypto";
import type { Group, Problem } from "../data/records.ts";
import { labelByMajority } from "../feedback/majority.ts";
import type { Constraint } from "../objectives/objective.ts";
import { withoutAnswers } from "../pipeline/learned_records.ts";
import type { TrainOptions } from "../train/trainer.ts";
import { type CandidateChange, changed } from "./candidate_changes.ts";

/** How a model is trained after VFT. */
export interface Method {
  readonly objective: string;
  readonly constraint?: Constraint;
  readonly beta?: number;
  /** Passes, where they are not the study's. */
  readonly epochs?: number;
  /** Candidates a question, where they are not the study's. */
  readonly samples?: number;
  /** Steps between two lines of metrics. */
  readonly logEvery?: number;
  /** Whether candidates are marked by their majority, and answers and references are out of sight. */
  readonly votes?: boolean;
  /** What becomes of the candidates before, where they are not the VFT model's, marked by the answers. */
  readonly change?: CandidateChange;
}

/** A method that also learns the references: DPO alone does not. */
export function withReferences(method: Method): Method {
  const { objective, constraint, ...rest } = method;
  if (objective !== "dpo") return method;
  return { ...rest, objective: `vft:1,dpo:1${constraint ? `:constraint=${constraint}` : ""}` };
}

/** A method's settings as `train` takes them. */
export function trainOptions(
  { beta, votes: _, change: __, ...settings }: Readonly<Record<string, unknown>>,
): TrainOptions {
  const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
  return { ...given, ...(beta !== undefined && { options: { beta: beta as number } }) };
}

/** Eight hexadecimal digits of anything that JSON holds. */
export function digest(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 8);
}

/** The first `count` candidates of each group as a method learns from them. */
export function learned(
  groups: AsyncIterable<Group>,
  { votes, change }: Method,
  { count, seed }: { readonly count: number; readonly seed: number },
): AsyncIterable<Problem> {
  const first = cut(groups, count);
  return votes ? voted(first) : change ? changed(first, change, seed) : first;
}

async function* voted(groups: AsyncIterable<Group>): AsyncGenerator<Problem> {
  for await (const group of labelByMajority(groups)) yield withoutAnswers(group);
}

async function* cut(groups: AsyncIterable<Group>, count: number): AsyncGenerator<Group> {
  for await (const group of groups) yield { ...group, candidates: group.candidates.slice(0, count) };
}
