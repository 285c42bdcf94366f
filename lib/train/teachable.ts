/** What a set of records can and cannot teach, told before the first step: what trains nothing does so in silence. */

import type { Objective } from "../objectives/objective.ts";
import type { TrainingGroup } from "./step.ts";
import type { EncodedGroup } from "./training_group.ts";

/** Watches records as they are read. */
export interface TeachableWatch {
  /** Takes in one record, with what became of it. */
  take(id: string, encoded: EncodedGroup): void;
  /** One line for each kind of record that teaches nothing, or less than one would think, with counts. */
  warnings(): string[];
  /** Why nothing at all can be learned; undefined where something can. */
  refusal(): string | undefined;
}

/** Counts what an objective cannot learn from: see {@linkcode TeachableWatch}. */
export function watchTeachable(objective: Objective): TeachableWatch {
  const { name, feedback, addsVft = false, trainsOn = "candidates" } = objective;
  const compares = feedback.length > 0 && trainsOn === "candidates";
  const prompts = new Map<string, number>(), repeated = new Set<string>();
  let records = 0, groups = 0, paired = 0, unpaired = 0, pairs = 0, equal = 0;
  let otherPrompts = 0;
  let blank = 0, wrong = 0, responseless = 0, referenceless = 0;
  return {
    take(id, { group, blank: empty, leftOut, tooLong, otherPrompt = false }) {
      records++;
      otherPrompts += Number(otherPrompt);
      blank += empty;
      if (leftOut === "wrong") wrong++;
      if (!group) {
        if (!leftOut && tooLong === 0 && empty === 0) responseless++;
        return;
      }
      groups++;
      // The same question may well come twice; two questions of one id cannot be told apart.
      const prompt = hash(group.tokens.prompt), before = prompts.get(id);
      if (before === undefined) prompts.set(id, prompt);
      else if (before !== prompt) repeated.add(id);
      if (addsVft && group.feedback.reference === undefined) referenceless++;
      if (!compares) return;
      const found = comparePairs(group);
      pairs += found.pairs;
      equal += found.equal;
      // A single response is no group that lost its pair: KTO learns from it.
      const alone = name === "kto" && group.tokens.responses.length === 1;
      if (found.pairs > found.equal || alone) paired++;
      else unpaired++;
    },
    warnings() {
      const of = (count: number, all: number, what: string) => `${count} of ${all} ${what}`;
      const only = paired === 0 && addsVft && referenceless < groups
        ? `; ${name} trains nothing but the likelihood of references`
        : "";
      return [
        blank > 0 &&
        (blank === 1 ? "1 empty answer is left out: it" : `${blank} empty answers are left out: they`) +
          " would teach to say nothing",
        wrong > 0 && `${of(wrong, records, "records")} have no right response: ${name} leaves them out`,
        responseless > 0 && `${of(responseless, records, "records")} have no response: they are left out`,
        equal > 0 && `${of(equal, pairs, "pairs")} have two equal sides: nothing can be learned from them`,
        unpaired > 0 &&
        `${
          of(unpaired, groups, "groups")
        } have no better and worse candidate: they add no alignment loss${only}`,
        referenceless > 0 &&
        `${
          of(referenceless, groups, "groups")
        } have no reference: ${name} trains them without its likelihood term`,
        otherPrompts > 0 &&
        `${
            of(otherPrompts, records, "records")
          } were scored behind another prompt than they are trained behind ` +
          "(their prompt_digest differs): another template, system text or tokenizer",
        repeated.size > 0 &&
        `${repeated.size} ids stand for several questions, such as ${
            JSON.stringify([...repeated][0])
          }: messages cannot ` +
          "tell them apart",
      ].filter((line) => line !== false);
    },
    refusal() {
      if (!compares || groups === 0 || paired > 0 || addsVft && referenceless < groups) return undefined;
      const found = equal > 0 ? `${equal} pairs with two equal sides` : "candidates that are all alike";
      return `none of the ${groups} groups has a better and a worse candidate: got ${found}`;
    },
  };
}

/** Pairs of a better and a worse response, and those of them whose responses are the same. */
function comparePairs(
  { tokens, feedback }: TrainingGroup,
): { readonly pairs: number; readonly equal: number } {
  const { correct, rank, reward, reference } = feedback;
  const merits = tokens.responses.map((_, i) =>
    reward?.[i] ?? (rank ? -rank[i]! : Number(i === reference || (correct?.[i] ?? false)))
  );
  const texts = tokens.responses.map((ids) => ids.join());
  let pairs = 0, equal = 0;
  for (let i = 0; i < merits.length; i++) {
    for (let j = 0; j < i; j++) {
      if (merits[i] === merits[j]) continue;
      pairs++;
      if (texts[i] === texts[j]) equal++;
    }
  }
  return { pairs, equal };
}

/** 32 bits from token ids (FNV-1a). */
function hash(ids: readonly number[]): number {
  let h = 0x811c9dc5;
  for (const id of ids) h = Math.imul(h ^ id, 0x01000193);
  return h;
}
