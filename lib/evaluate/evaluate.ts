import { checkNumbers } from "../runtime/check_numbers.ts";
import { checkPrompt } from "../data/template_options.ts";
import { checkNames, type NamesOf } from "../runtime/check_names.ts";
import { blockRecords } from "../data/shards.ts";
import { findAnswer, isRight } from "../data/answers.ts";
import type { Candidate, Group, Problem } from "../data/records.ts";
import { generate, type GenerateOptions } from "../model/generate.ts";
import type { Model } from "../model/model.ts";
import type { Listener, Watched } from "../runtime/listener.ts";
import { tallyVotes } from "../feedback/votes.ts";
import { assessmentAccuracy, meanScores } from "../objectives/statistics.ts";
import { judgeGsm8k } from "./gsm8k_rules.ts";
import { optionLogprobs, type OptionResult } from "./option_logprobs.ts";
import { score, type ScoreOptions } from "./score.ts";

/** What to measure, and how. */
export interface EvaluateOptions extends Watched, Pick<ScoreOptions, "microBatchTokens" | "relabel"> {
  /** Samples for the majority vote (maj@k); 0 (default) leaves it out. */
  readonly votes?: number;
  /** Temperature of those samples (default 0.7). */
  readonly voteTemperature?: number;
  /** Whether the greedy answer is measured (default true). */
  readonly greedy?: boolean;
  /**
   * How problems with options are answered: by the letter in a generated response (default "letter"), by the log-probs
   * of the letters behind the prompt ("logprob": nothing is generated for them), or both.
   */
  readonly options?: "letter" | "logprob" | "both";
  /** Most tokens of a response (default 256). */
  readonly maxTokens?: number;
  /** Texts that end a response, as `generate` has them (default: the next question of a plain template). */
  readonly stop?: GenerateOptions["stop"];
  /** Seed of the samples (default 0). */
  readonly seed?: number;
  /** Sequences decoded at once (default: as many as their cache fits, at most 96). */
  readonly slots?: number | undefined;
  /**
   * Records at the beginning whose results are known already (default 0): they are not measured, and not yielded. The
   * numbers of the others are those of a whole run, to the last digit: records are measured in the same company.
   */
  readonly skip?: number | undefined;
  /** How prompts are made. */
  readonly prompt?: GenerateOptions["prompt"];
}

const names: NamesOf<EvaluateOptions> = {
  votes: true,
  voteTemperature: true,
  greedy: true,
  options: true,
  maxTokens: true,
  stop: true,
  seed: true,
  slots: true,
  skip: true,
  prompt: true,
  microBatchTokens: true,
  relabel: true,
  listener: true,
  signal: true,
};

const numbers = {
  votes: "count or 0",
  voteTemperature: "positive or 0",
  maxTokens: "count",
  seed: "number",
  slots: "count",
  skip: "count or 0",
  microBatchTokens: "count",
} as const;

/** What was measured of one question: a field is absent when it does not apply. */
export interface Evaluated {
  /** The question's id. */
  readonly id: string;
  /** Its data set, where that is known. */
  readonly dataset?: string;
  /** The greedy response. */
  readonly greedy?: {
    /** Its text. */
    readonly text: string;
    /** Whether the model ended it or ran out of tokens. */
    readonly finish: "stop" | "length";
    /** The answer found in it; null when there is none. */
    readonly answer: string | null;
    /** Whether the answer, however it is stated, is right. */
    readonly correct: boolean;
    /** Whether it is right by lm-evaluation-harness' `strict-match` for GSM8K; absent where the answer is no number. */
    readonly strict?: boolean;
    /** The same by its `flexible-extract`. */
    readonly flexible?: boolean;
  };
  /** The answer most samples give; the earliest of equals. */
  readonly majority?: { readonly answer: string | null; readonly correct: boolean; readonly share: number };
  /** Share of those samples that are right: pass@1, estimated from k samples. */
  readonly sampled_accuracy?: number;
  /** The option whose letter is likeliest behind the prompt. */
  readonly option?: OptionResult;
  /** Log-prob and tokens of the reference, in nats. */
  readonly reference_logprob?: number;
  /** Tokens of the reference. */
  readonly reference_tokens?: number;
  /** Share of (positive, negative) pairs of the record's candidates in order; absent for one-sided groups. */
  readonly assessment_accuracy?: number;
  /** Mean score of its positives and negatives, in nats per token. */
  readonly positives?: number;
  /** Mean score of its negatives. */
  readonly negatives?: number;
}

/**
 * Measures a model on problems (greedy accuracy, maj@k, log-prob of the references) and on groups (assessment accuracy
 * and mean scores of their candidates). Candidates are scored by this model, whatever scores they bring.
 *
 * Every record is held until all parts are measured: the results of N questions take memory, N models' outputs do not.
 *
 * ```ts
 * import { evaluate, loadDataset, loadModel } from "./mod.ts";
 *
 * using model = await loadModel("fixtures/base");
 * const problems = loadDataset("arithmetic:test", { limit: 2 });
 * for await (const { id, greedy } of evaluate(model, problems, { maxTokens: 32 })) {
 *   console.log(id, greedy?.text, greedy?.correct);
 * }
 * ```
 */
export async function* evaluate(
  model: Model,
  records: AsyncIterable<Problem | Group> | Iterable<Problem | Group>,
  options: EvaluateOptions = {},
): AsyncGenerator<Evaluated> {
  checkNames(options, names, { of: "evaluate" });
  checkPrompt(options.prompt, "evaluate");
  checkNumbers(options, numbers, "Option");
  const { votes = 0, voteTemperature = 0.7, greedy = true, skip = 0, listener } = options;
  const { options: answering = "letter" } = options;
  const chunk: Problem[] = [];
  let done = 0;
  const measure = async function* (problems: Problem[]): AsyncGenerator<Evaluated> {
    if (done + problems.length <= skip) return void (done += problems.length);
    const common = {
      maxTokens: options.maxTokens,
      stop: options.stop,
      seed: options.seed,
      slots: options.slots,
      prompt: options.prompt,
      signal: options.signal,
    };
    const scoring = {
      microBatchTokens: options.microBatchTokens,
      prompt: options.prompt,
      signal: options.signal,
    };
    /** What a part says, with the questions of earlier chunks counted in. */
    const partOf = (part: string): Listener => ({
      ...listener,
      progress: (event) => listener?.progress?.({ ...event, part, done: done + event.done }),
    });
    const asked = problems.filter((p) =>
      p.answer !== undefined && (p.choices === undefined || answering !== "logprob")
    );
    const chosen = answering === "letter" ? [] : await collect(optionLogprobs(model, problems, {
      ...scoring,
      listener: partOf("options"),
    }));
    const responses = greedy
      ? await byProblem(
        asked,
        generate(model, asked, {
          ...common,
          temperature: 0,
          listener: partOf("greedy"),
        }),
      )
      : new Map<Problem, Group>();
    const ballots = votes > 0
      ? await byProblem(
        asked,
        generate(model, asked, {
          ...common,
          samples: votes,
          temperature: voteTemperature,
          keepDuplicates: true,
          listener: partOf(`maj@${votes}`),
        }),
      )
      : new Map<Problem, Group>();
    const groups = problems.map((p): Group => ({ ...p, candidates: p.candidates ?? [] }));
    const scored = await byProblem(
      problems,
      score(model, groups, {
        ...scoring,
        relabel: options.relabel,
        listener: partOf("scores"),
      }),
    );
    for (const [i, problem] of problems.entries()) {
      if (done + i < skip) continue;
      yield {
        id: problem.id,
        ...(problem.dataset !== undefined && { dataset: problem.dataset }),
        ...greedyResult(problem, responses.get(problem)?.candidates[0]),
        ...majorityResult(problem, ballots.get(problem)?.candidates),
        ...sampledResult(problem, ballots.get(problem)?.candidates),
        ...(chosen[i] && { option: chosen[i] }),
        ...scoreResult(scored.get(problem)!),
      };
    }
    done += problems.length;
  };
  for await (const record of records) {
    chunk.push(record);
    if (chunk.length === CHUNK) yield* measure(chunk.splice(0));
  }
  if (chunk.length > 0) yield* measure(chunk);
}

/** Questions measured together: enough to fill the decoder's slots many times over; whole blocks, which scores depend on. */
const CHUNK = 16 * blockRecords;

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Groups come in the order of their problems; ids may repeat where files were joined. */
async function byProblem(
  problems: readonly Problem[],
  groups: AsyncIterable<Group>,
): Promise<Map<Problem, Group>> {
  const found = new Map<Problem, Group>();
  let at = 0;
  for await (const group of groups) found.set(problems[at++], group);
  return found;
}

function greedyResult(problem: Problem, response: Candidate | undefined): Pick<Evaluated, "greedy"> {
  if (!response) return {};
  const answer = findAnswer(problem, response.text);
  return {
    greedy: {
      text: response.text,
      finish: response.finish!,
      answer,
      correct: isRight(problem, answer),
      ...judgeGsm8k(problem, response.text),
    },
  };
}

/** The most frequent answer; responses without an answer do not vote. */
export function majorityResult(
  problem: Problem,
  responses: readonly Candidate[] | undefined,
): Pick<Evaluated, "majority"> {
  if (!responses || responses.length === 0) return {};
  const [best] = tallyVotes(responses.map(({ text }) => findAnswer(problem, text)));
  const answer = best?.answer ?? null;
  return {
    majority: { answer, correct: isRight(problem, answer), share: (best?.votes ?? 0) / responses.length },
  };
}

/** The share of right samples; one without an answer is wrong. */
export function sampledResult(
  problem: Problem,
  responses: readonly Candidate[] | undefined,
): Pick<Evaluated, "sampled_accuracy"> {
  if (!responses || responses.length === 0) return {};
  const right = responses.filter(({ text }) => isRight(problem, findAnswer(problem, text))).length;
  return { sampled_accuracy: right / responses.length };
}

function scoreResult(group: Group): Partial<Evaluated> {
  const scored = group.candidates.filter((c) => c.score !== undefined);
  const known = scored.length > 0 && scored.every((c) => c.correct !== undefined);
  const numbers = known
    ? {
      scores: scored.map((c) => c.score!),
      lengths: scored.map((c) => c.tokens!),
      correct: scored.map((c) => c.correct!),
    }
    : undefined;
  const { positives, negatives } = numbers ? meanScores(numbers) : {};
  const assessment = numbers ? assessmentAccuracy(numbers) : undefined;
  return {
    ...(group.reference_logprob !== undefined && {
      reference_logprob: group.reference_logprob as number,
      reference_tokens: group.reference_tokens as number,
    }),
    ...(assessment !== undefined && { assessment_accuracy: assessment }),
    ...(positives !== undefined && { positives }),
    ...(negatives !== undefined && { negatives }),
  };
}
