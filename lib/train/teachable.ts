/** What a set of records can and cannot teach, told before the first step: what trains nothing does so in silence. */

import type { Problem } from "../data/records.ts";
import { kindUsed, meritOf } from "../objectives/feedback.ts";
import type { Objective } from "../objectives/objective.ts";
import { learnsReferences } from "../objectives/sum.ts";
import type { TrainingGroup } from "./step.ts";
import type { EncodedGroup } from "./training_group.ts";

/** Watches records as they are read. */
export interface TeachableWatch {
  /** Takes in one record, with what became of it. */
  take(record: Problem, encoded: EncodedGroup): void;
  /** One line for each kind of record that teaches nothing, or less than one would think, with counts. */
  warnings(): string[];
  /** Why nothing at all can be learned; undefined where something can. */
  refusal(): string | undefined;
}

/** Counts what an objective cannot learn from: see {@linkcode TeachableWatch}. */
export function watchTeachable(objective: Objective): TeachableWatch {
  const { name, feedback, trainsOn = "candidates" } = objective, references = learnsReferences(objective);
  const reads = feedback.length > 0 && (trainsOn === "candidates" || trainsOn === "samples");
  const learnsFrom = reads ? objective.learnsFrom ?? "pair" : "any";
  const prompts = new Map<string, number>(), repeated = new Set<string>();
  let records = 0, groups = 0, paired = 0, unpaired = 0, pairs = 0, equal = 0;
  let otherPrompts = 0;
  let right = 0, marked = 0, oneSided = 0;
  let blank = 0, wrong = 0, responseless = 0, referenceless = 0;
  return {
    take(record, { group, blank: empty, leftOut, tooLong, otherPrompt = false }) {
      const { id } = record;
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
      if (references && group.feedback.reference === undefined) referenceless++;
      if (learnsFrom === "any") return;
      if (learnsFrom !== "pair") {
        if (group.feedback.correct?.includes(learnsFrom === "right")) paired++;
        else unpaired++;
        return;
      }
      const found = pairsOf(record, objective);
      pairs += found.pairs;
      equal += found.equal;
      const { correct } = group.feedback, rights = correct?.filter(Boolean).length ?? 0;
      marked += correct?.length ?? 0;
      right += rights;
      // A single response is no group that lost its pair: KTO learns from it.
      const alone = name === "kto" && group.tokens.responses.length === 1;
      if (hasPair(group) || alone) paired++;
      else {
        unpaired++;
        if (correct) oneSided++;
      }
    },
    warnings() {
      const of = (count: number, all: number, what: string) => `${count} of ${all} ${what}`;
      const only = paired === 0 && references && referenceless < groups
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
        (learnsFrom === "pair"
          ? `${
            of(unpaired, groups, "groups")
          } have no better and worse candidate: they add no alignment loss${only}`
          : `${
            of(unpaired, groups, "groups")
          } have no ${learnsFrom} candidate: ${name} learns nothing from them`),
        name === "kto" && paired > 0 && marked > 0 && (right === 0 || right === marked) &&
        `All ${marked} responses are marked ${
            right === 0 ? "wrong" : "right"
          }: ${name} sees no other side, and ` +
          `${right === 0 ? "lowers" : "raises"} them all`,
        referenceless > 0 &&
        `${
          of(referenceless, groups, "groups")
        } have no reference: ${name} trains them without its likelihood term L_VFT, which is another method`,
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
      if (learnsFrom === "any" || groups === 0 || paired > 0) return undefined;
      if (references && referenceless < groups) return undefined;
      if (learnsFrom !== "pair") return `none of the ${groups} groups has a ${learnsFrom} candidate`;
      const alike = marked === 0 || oneSided < groups
        ? "candidates that are all alike"
        : right === 0 || right === marked
        ? `${marked} responses, all marked ${right === 0 ? "wrong" : "right"}`
        : `${right} right and ${marked - right} wrong responses, never both in one group`;
      const found = equal > 0 ? `${equal} ${equal === 1 ? "pair" : "pairs"} with two equal sides` : alike;
      return `none of the ${groups} groups has a better and a worse candidate: got ${found}`;
    },
  };
}

/** Whether a group has a better and a worse response that are not the same. */
function hasPair({ tokens, feedback }: TrainingGroup): boolean {
  const { correct, rank, reward, reference } = feedback;
  const merits = tokens.responses.map((_, i) =>
    reward?.[i] ?? (rank ? -rank[i]! : Number(i === reference || (correct?.[i] ?? false)))
  );
  return countPairs(merits, tokens.responses.map((ids) => ids.join())).some;
}

/**
 * Pairs of a better and a worse response that a record brings, and those of them whose texts are the same. The reference
 * is one of the best; training leaves out what it repeats, so that is to be seen here alone.
 */
function pairsOf(
  { candidates = [], reference }: Problem,
  { feedback }: Objective,
): ReturnType<typeof countPairs> {
  const kind = kindUsed(feedback, (kind) => candidates.every((one) => meritOf(kind, one) !== undefined));
  if (!kind || candidates.length === 0) return { pairs: 0, equal: 0, some: false };
  const merits = candidates.map((one) => meritOf(kind, one)!), texts = candidates.map(({ text }) => text);
  const best = kind === "labels" ? 1 : Math.max(...merits);
  const known = candidates.some(({ text }, i) => text === reference && merits[i] === best);
  if (reference === undefined || known) return countPairs(merits, texts);
  return countPairs([...merits, best], [...texts, reference]);
}

function countPairs(
  merits: readonly number[],
  texts: readonly string[],
): { readonly pairs: number; readonly equal: number; readonly some: boolean } {
  let pairs = 0, equal = 0;
  for (let i = 0; i < merits.length; i++) {
    for (let j = 0; j < i; j++) {
      if (merits[i] === merits[j]) continue;
      pairs++;
      if (texts[i] === texts[j]) equal++;
    }
  }
  return { pairs, equal, some: pairs > equal };
}

/** 32 bits from token ids (FNV-1a). */
function hash(ids: readonly number[]): number {
  let h = 0x811c9dc5;
  for (const id of ids) h = Math.imul(h ^ id, 0x01000193);
  return h;
}
