/** The options that say what `score` ranks candidates by, and the source of rewards that they ask for. */

import { openJudge } from "../../lib/feedback/judge.ts";
import type { RewardSource } from "../../lib/feedback/rank.ts";
import { ratings } from "../../lib/feedback/rank_ratings.ts";
import { steps } from "../../lib/feedback/rank_steps.ts";
import { UsageError } from "../../lib/runtime/errors.ts";
import type { TaskIo } from "./run_task.ts";
import { choice, integer, number, preset, text, type Values } from "./option.ts";
import { shared } from "./shared_options.ts";

// Without presets, so that an option that has no meaning without a judge is not silently ignored.
const judgeOptions = {
  judgeUrl: text("--judge-url", {
    metavar: "URL",
    help: "judge: address of its chat completions, as https://HOST/v1",
  }),
  judgeModel: text("--judge-model", { metavar: "NAME", help: "judge: the model's name there" }),
  judgeKeyEnv: text("--judge-key-env", {
    metavar: "NAME",
    help: "judge: environment variable with the key; OPENAI_API_KEY, if it is set, without this option",
  }),
  judgeConcurrency: integer("--judge-concurrency", {
    max: 1000,
    help: "judge: requests at once; 4 without this option",
  }),
  judgeTimeout: number("--judge-timeout", {
    above: 0,
    metavar: "SECONDS",
    help: "judge: longest wait for an answer; 60",
  }),
  judgeRetries: integer("--judge-retries", { min: 0, help: "judge: further tries of a request; 4" }),
  judgeTemperature: number("--judge-temperature", { min: 0, help: "judge: sampling temperature; 0" }),
  judgeCache: text("--judge-cache", {
    metavar: "FILE",
    help:
      "judge: keeps its answers, so that none is paid for twice; OUTPUT.judge.jsonl where --output is a file",
  }),
  judgePriceInput: number("--judge-price-input", { min: 0, help: "judge: price of a million prompt tokens" }),
  judgePriceOutput: number("--judge-price-output", {
    min: 0,
    help: "judge: price of a million completion tokens",
  }),
} as const;

/** Options of a task that ranks candidates. */
export const rankOptions = {
  rank: choice("--rank", {
    choices: ["ratings", "steps", "judge"],
    help:
      "Fill rank and reward by ratings in the record, by agreement with the reference's steps, or by a judge",
  }),
  unranked: preset(
    choice("--unranked", {
      choices: ["keep", "drop"],
      help: "What becomes of candidates that nothing ranks",
    }),
    "keep",
  ),
  ...judgeOptions,
} as const;

/** A source of rewards to dispose of when the work is done. */
export interface OpenRewardSource extends AsyncDisposable {
  /** Where rewards come from. */
  readonly source: RewardSource;
}

/** The source that the options ask for; undefined without `--rank`. What a judge cost is logged at the end. */
export async function openRewardSource(
  options: Values<typeof rankOptions> & { readonly output: string },
  io: Pick<TaskIo, "listener">,
): Promise<OpenRewardSource | undefined> {
  if (options.rank !== "judge") {
    const stray = (Object.keys(judgeOptions) as (keyof typeof judgeOptions)[])
      .find((name) => options[name] !== undefined);
    if (stray) throw new UsageError(`Option ${judgeOptions[stray].flag} has no meaning without --rank judge`);
    const source = options.rank && { ratings, steps }[options.rank];
    return source && { source, [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const { judgeUrl: url, judgeModel: model } = options;
  if (url === undefined || model === undefined) {
    throw new UsageError("Option --rank judge needs --judge-url and --judge-model");
  }
  const beside = options.output === shared.output.initial ? undefined : `${options.output}.judge.jsonl`;
  const judge = await openJudge({
    url,
    model,
    keyVariable: options.judgeKeyEnv,
    concurrency: options.judgeConcurrency,
    timeout: options.judgeTimeout,
    retries: options.judgeRetries,
    temperature: options.judgeTemperature,
    cache: options.judgeCache ?? beside,
    prices: { input: options.judgePriceInput, output: options.judgePriceOutput },
    listener: io.listener,
  });
  return {
    source: judge,
    async [Symbol.asyncDispose]() {
      io.listener.note(judge.report());
      await judge[Symbol.asyncDispose]();
    },
  };
}
