/** The options that say which server samples, in place of a model of ours. */

import type { GenerateFromOptions } from "../../lib/model/generate_from.ts";
import { UsageError } from "../../lib/runtime/errors.ts";
import type { TaskIo } from "./run_task.ts";
import { integer, number, text, type Values } from "./option.ts";

// Without presets, so that an option that has no meaning without a server is not silently ignored.
const serverOptions = {
  servedModel: text("--served-model", { metavar: "NAME", help: "The model's name at the server" }),
  servedTokenizer: text("--served-tokenizer", {
    metavar: "DIR|NAME",
    help:
      "Send prompts as ids of this model's tokenizer, with its chat template, as generate with --model has them",
  }),
  servedKeyEnv: text("--served-key-env", {
    metavar: "NAME",
    help: "Environment variable with the server's key; none is sent without this option",
  }),
  servedRequests: integer("--served-requests", { max: 1000, help: "Requests at once; 16" }),
  servedTimeout: number("--served-timeout", {
    above: 0,
    metavar: "SECONDS",
    help: "Longest wait for an answer; 300",
  }),
  servedRetries: integer("--served-retries", { min: 0, help: "Further tries of a request; 4" }),
} as const;

/** Options of a task that can leave sampling to a server. */
export const servedOptions = {
  generateFrom: text("--generate-from", {
    metavar: "URL",
    help:
      "Sample by an OpenAI-compatible server (vLLM, llama.cpp), as http://HOST:8000/v1, in place of --model; " +
      "--chat always asks its chat completions, --chat never its completions, --served-tokenizer those with ids",
  }),
  ...serverOptions,
} as const;

/** What the options say of a server; undefined without `--generate-from`. Throws UsageError for options that do not go together. */
export function servedBy(
  options: Values<typeof servedOptions> & {
    readonly chat: "auto" | "always" | "never";
    readonly [other: string]: unknown;
  },
  listener?: TaskIo["listener"],
):
  | Pick<
    GenerateFromOptions,
    "url" | "model" | "api" | "keyVariable" | "concurrency" | "timeout" | "retries" | "asked"
  >
  | undefined {
  const { generateFrom: url, servedModel: model, chat } = options;
  if (url === undefined) {
    const stray = (Object.keys(serverOptions) as (keyof typeof serverOptions)[])
      .find((name) => options[name] !== undefined);
    if (stray) {
      throw new UsageError(`Option ${serverOptions[stray].flag} has no meaning without --generate-from`);
    }
    if (options.model === undefined) {
      throw new UsageError("Missing option --model DIR|NAME or --generate-from URL: see --help");
    }
    return undefined;
  }
  const local = { model: "--model", adapter: "--adapter", slots: "--slots", tokenIds: "--token-ids" };
  for (const [name, flag] of Object.entries(local)) {
    if (options[name] !== undefined && options[name] !== false) {
      throw new UsageError(`Option ${flag} has no meaning with --generate-from`);
    }
  }
  if (model === undefined) throw new UsageError("Option --generate-from needs --served-model");
  if (chat === "auto" && options.servedTokenizer === undefined) {
    throw new UsageError(
      "Option --generate-from needs --chat always (the server's chat template), --chat never (plain prompts) or " +
        "--served-tokenizer",
    );
  }
  return {
    url,
    model,
    api: chat === "always" && options.servedTokenizer === undefined ? "chat" : "completions",
    keyVariable: options.servedKeyEnv,
    concurrency: options.servedRequests,
    timeout: options.servedTimeout,
    retries: options.servedRetries,
    asked: ({ requests, failed, malformed, refused, input, output }) => {
      const troubles = Object.entries({ failed, malformed, refused }).filter(([, count]) => count > 0)
        .map(([name, count]) => `${count} ${name}`).join(", ");
      listener?.note(
        `Server: ${requests} ${requests === 1 ? "request" : "requests"}${
          troubles === "" ? "" : ` (${troubles})`
        }, ${input} prompt and ${output} completion tokens`,
      );
    },
  };
}
