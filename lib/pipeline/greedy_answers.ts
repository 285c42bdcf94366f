import type { PromptOptions } from "../data/prompts.ts";
import { evaluate } from "../evaluate/evaluate.ts";
import { summarize } from "../evaluate/summary.ts";
import type { AnswerProbe } from "../train/evaluation_options.ts";

/** How a model is asked while it trains. */
export interface GreedyAnswersOptions {
  /** Longest response, in tokens (default 256). */
  readonly maxTokens?: number | undefined;
  /** Texts that end a response, as `generate` has them (default: the next question of a plain template). */
  readonly stop?: readonly string[] | undefined;
  /** How prompts are made; to be the training's. */
  readonly prompt?: PromptOptions | undefined;
}

/**
 * The greedy answers to some questions of an evaluation set, for the option `evaluation.answers` of `train`.
 *
 * ```ts
 * import { greedyAnswers, loadDataset, loadModel, train } from "./mod.ts";
 *
 * using model = await loadModel("fixtures/base");
 * const problems = loadDataset("arithmetic", { limit: 16 });
 * const evaluation = { share: 0.25, answers: greedyAnswers(2, { maxTokens: 16 }), heard: console.log };
 * for await (const { step } of train(model, problems, { objective: "vft", epochs: 1, evaluation })) console.log(step);
 * ```
 *
 * @param questions how many to ask, at most
 */
export function greedyAnswers(questions: number, options: GreedyAnswersOptions = {}): AnswerProbe {
  const { maxTokens, stop, prompt } = options;
  return {
    questions,
    async ask(model, problems, signal) {
      // Without candidates and reference nothing but the answer is measured.
      const bare = problems.map(({ candidates: _, reference: __, ...problem }) => problem);
      const results = await Array.fromAsync(
        evaluate(model, bare, {
          signal,
          ...(maxTokens !== undefined && { maxTokens }),
          ...(stop && { stop }),
          ...(prompt && { prompt }),
        }),
      );
      return {
        accuracy: summarize(results).accuracy ?? 0,
        samples: results.map(({ id, greedy }, i) => ({
          id,
          question: problems[i]!.question,
          response: greedy?.text ?? "",
          correct: greedy?.correct ?? false,
        })),
      };
    },
  };
}
