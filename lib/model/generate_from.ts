/** Candidates sampled by a model that a server has: vLLM, llama.cpp, or any other with OpenAI's interface. */

import { checkPrompt } from "../data/template_options.ts";
import { templateOf } from "../data/datasets.ts";
import { type PromptOptions, renderPrompt, toolFieldOf } from "../data/prompts.ts";
import type { Candidate, Group, Problem } from "../data/records.ts";
import { checkNames, type NamesOf } from "../runtime/check_names.ts";
import { checkNumbers } from "../runtime/check_numbers.ts";
import { type EndpointCounts, keyFrom, openEndpoint } from "../runtime/endpoint.ts";
import { InputError, UsageError } from "../runtime/errors.ts";
import type { Watched } from "../runtime/listener.ts";
import { messagesOf } from "../tokenizer/chat_turn.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { streamOf } from "./_stream_of.ts";
import { encodePrompt, plainResponse, responseIn } from "./encode.ts";
import { checkStop, plainStopTexts, stopTextsOf } from "./stop_texts.ts";

/** Which server, and how candidates are sampled. */
export interface GenerateFromOptions extends Watched {
  /** Base address of the server, as `http://localhost:8000/v1`. */
  readonly url: string;
  /** The model's name there. */
  readonly model: string;
  /**
   * Which of its interfaces: `completions` of plain prompts, `chat` of messages, from which the server's own template makes
   * the prompt.
   */
  readonly api: "completions" | "chat";
  /** Environment variable that holds the key (default none: no key is sent). It is sent to `url` and to no other address. */
  readonly keyVariable?: string | undefined;
  /** Requests under way at once (default 16); each is one sample. */
  readonly concurrency?: number | undefined;
  /** Longest wait for an answer, in seconds (default 300). */
  readonly timeout?: number | undefined;
  /** Further tries of a request that fails or is answered in another form than asked for (default 4). */
  readonly retries?: number | undefined;
  /** Seconds before the second try; each further wait is twice the last, at most 60 (default 1). */
  readonly backoff?: number | undefined;
  /** Candidates a question (default 6); 1 when the temperature is 0. */
  readonly samples?: number | undefined;
  /** Most tokens of a response (default 256). */
  readonly maxTokens?: number | undefined;
  /** Default 1; 0 is greedy. */
  readonly temperature?: number | undefined;
  /** Default 0: no limit. An extension of OpenAI's interface, which vLLM and llama.cpp have. */
  readonly topK?: number | undefined;
  /** Default 1: no limit. */
  readonly topP?: number | undefined;
  /** Default 0. Each sample has a seed of its own, of this one, its question's id and its number. */
  readonly seed?: number | undefined;
  /** Keep equal candidates (default false: equals are drawn again, at most as often as `samples`, then left out). */
  readonly keepDuplicates?: boolean | undefined;
  /** Texts that end a response (default: the next question of a plain template; none in a chat). */
  readonly stop?: readonly string[] | undefined;
  /** What to do with a question of which the server answers nothing (default "skip": no candidates). */
  readonly tooLong?: "skip" | "refuse" | undefined;
  /**
   * How prompts are made. Without a `tokenizer`, what a record says is sent as it is: a server may read control tokens in
   * it, and cuts it into tokens its own way.
   */
  readonly prompt?: PromptOptions | undefined;
  /**
   * The served model's tokenizer: completions are then asked with the ids of its prompts, its chat template's too, exactly
   * those of `generate` with the model here. vLLM and llama.cpp take ids.
   */
  readonly tokenizer?: Tokenizer | undefined;
  /** Told at the end what was asked. */
  readonly asked?: ((counts: Readonly<EndpointCounts>) => void) | undefined;
}

const names: NamesOf<GenerateFromOptions> = {
  url: true,
  model: true,
  api: true,
  keyVariable: true,
  concurrency: true,
  timeout: true,
  retries: true,
  backoff: true,
  samples: true,
  maxTokens: true,
  temperature: true,
  topK: true,
  topP: true,
  seed: true,
  keepDuplicates: true,
  stop: true,
  tooLong: true,
  prompt: true,
  tokenizer: true,
  asked: true,
  listener: true,
  signal: true,
};

const numbers = {
  concurrency: "count",
  timeout: "positive",
  retries: "count or 0",
  backoff: "positive or 0",
  samples: "count",
  maxTokens: "count",
  temperature: "positive or 0",
  topK: "count or 0",
  topP: "share",
  seed: "number",
} as const;

/**
 * Samples candidates for each problem by a server's model, many at once; groups come out in the order of the problems, and
 * when one fails, those before it are handed on first.
 *
 * Candidates carry text, finish and, where the server counts them, tokens; no log-probs: those of a server are after top-k
 * and top-p, of its own rounding, and not the model's. `score` adds them.
 *
 * Requests that fail are sent again after a growing wait; an answer over 64 KiB and 256 bytes a token is not read on. A
 * sample that stays without a right answer is missing.
 *
 * ```ts
 * import { createServer } from "node:http";
 * import { generateFrom } from "./mod.ts";
 *
 * // In place of `vllm serve`.
 * const reply = { choices: [{ text: " 2 + 3 = 5. #### 5", finish_reason: "stop" }], usage: { completion_tokens: 12 } };
 * const server = createServer((_, response) => void response.end(JSON.stringify(reply)));
 * await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
 * const url = `http://127.0.0.1:${(server.address() as { port: number }).port}/v1`;
 * const asked = { url, model: "smol", api: "completions", samples: 1 } as const;
 * for await (const { candidates } of generateFrom([{ id: "sum", question: "2 + 3?" }], asked)) {
 *   console.log(candidates); // [ { text: "2 + 3 = 5. #### 5", finish: "stop", tokens: 12 } ]
 * }
 * server.close();
 * ```
 *
 * @throws {UsageError} for an address that is none, and for a key variable that is not set
 * @throws {InputError} when a request keeps failing, or not one question gets a candidate
 */
export async function* generateFrom(
  problems: AsyncIterable<Problem> | Iterable<Problem>,
  options: GenerateFromOptions,
): AsyncGenerator<Group> {
  checkNames(options, names, { of: "generateFrom" });
  checkPrompt(options.prompt, "generateFrom");
  checkNumbers(options, numbers, "Option");
  checkStop(options.stop);
  const { concurrency = 16, maxTokens = 256, listener, signal, tooLong = "skip", tokenizer } = options;
  const chat = options.api === "chat";
  if (chat && tokenizer) {
    throw new UsageError("Option tokenizer has no meaning for the api chat: it makes prompts of ids");
  }
  const endpoint = openEndpoint({
    name: "server",
    url: options.url,
    path: chat ? "chat/completions" : "completions",
    key: keyFrom(options.keyVariable, { of: "server" }),
    timeout: options.timeout ?? 300,
    retries: options.retries ?? 4,
    backoff: options.backoff,
    largest: 65536 + 256 * maxTokens,
    optional: Object.keys(unlimited).filter((field) => field !== "top_k" || !options.topK),
    listener,
  });
  const stopped = new AbortController();
  const ending = signal ? AbortSignal.any([signal, stopped.signal]) : stopped.signal;
  const inTurn = limited(concurrency);
  const samples = options.temperature === 0 ? 1 : options.samples ?? 6;

  const sample = (problem: Problem, number: number) => {
    const stop = tokenizer
      ? stopTextsOf({ tokenizer }, problem, options)
      : options.stop ?? (chat ? [] : plainStopTexts(problem, options.prompt));
    const request = requestOf(problem, { ...options, number, stop, maxTokens });
    return inTurn(() => {
      ending.throwIfAborted();
      return endpoint.ask(request, (answer) => candidateIn(answer, { ...options, problem, stop }), ending);
    });
  };
  const groupOf = async (problem: Problem): Promise<Group> => {
    const candidates: Candidate[] = [];
    for (let asked = 0, wanted = samples; wanted > 0;) {
      const drawn = await Promise.all(
        Array.from({ length: wanted }, (_, i) => sample(problem, asked + i)),
      );
      asked += wanted;
      for (const one of drawn) {
        if (one && (options.keepDuplicates || !candidates.some(({ text }) => text === one.text))) {
          candidates.push(one);
        }
      }
      // Where not one came, the server has no use for the question.
      wanted = drawn.some(Boolean) ? Math.min(samples - candidates.length, 2 * samples - asked) : 0;
    }
    if (candidates.length === 0 && tooLong === "refuse") {
      throw new InputError(`Cannot generate for "${problem.id}": the server answers none of its requests`);
    }
    return { ...problem, candidates };
  };

  const waiting: Promise<Group>[] = [];
  let done = 0, empty = 0, reported = 0;
  const next = async (): Promise<Group> => {
    const group = await waiting.shift()!;
    if (group.candidates.length === 0) empty++;
    const { output } = endpoint.counts;
    done++;
    listener?.progress?.({ part: "generate", done, tokens: output - reported });
    reported = output;
    return group;
  };
  let failure: { readonly error: unknown } | undefined;
  async function* input() {
    try {
      yield* problems;
    } catch (error) {
      failure = { error };
    }
  }
  try {
    for await (const problem of input()) {
      signal?.throwIfAborted();
      const work = groupOf(problem);
      work.catch(() => {}); // one behind the first that fails has nobody to wait for it
      waiting.push(work);
      // As many questions as requests: then slow ones at the head leave nobody idle for long.
      if (waiting.length >= concurrency) yield await next();
    }
    while (waiting.length > 0) yield await next();
  } finally {
    stopped.abort();
    options.asked?.(endpoint.counts);
  }
  if (failure) throw failure.error;
  if (done > 0 && empty === done) {
    throw new InputError(
      `Cannot generate: the server at ${endpoint.address} gave no candidate for any of ${done} questions`,
    );
  }
  if (empty > 0) listener?.warn?.(`${empty} of ${done} questions have no candidates: the server gave none`);
}

/** Runs at most so many at once, in the order in which they were asked for. */
function limited(most: number): <T>(work: () => Promise<T>) => Promise<T> {
  const queue: (() => void)[] = [];
  let now = 0;
  return async (work) => {
    if (now >= most) await new Promise<void>((resolve) => queue.push(resolve));
    else now++;
    try {
      return await work();
    } finally {
      const first = queue.shift();
      if (first) first(); // takes this one's place
      else now--;
    }
  };
}

/**
 * What keeps a server from narrowing what is drawn by settings of its own: llama.cpp's are top_k 40, top_p 0.95, min_p 0.05,
 * vLLM's those of the model's generation_config.json. Extensions, by the names of both.
 */
const unlimited = { top_k: -1, min_p: 0, repetition_penalty: 1, repeat_penalty: 1 } as const;

/** What is sent for one sample. */
function requestOf(
  problem: Problem,
  { api, model, prompt = {}, tokenizer, number, stop, maxTokens, ...options }: GenerateFromOptions & {
    readonly number: number;
    readonly stop: readonly string[];
    readonly maxTokens: number;
  },
): object {
  const { temperature = 1, topK = 0, topP = 1, seed = 0 } = options;
  if (prompt.templateDate !== undefined && !tokenizer) {
    throw new UsageError("Option `templateDate` has no meaning for a server: its own template finds the day");
  }
  const tools = toolFieldOf(problem);
  if (tools !== undefined) {
    throw new InputError(
      `Cannot ask a server about "${problem.id}": field "${tools}" is about tools, which are not sent`,
    );
  }
  const { templateVariables: variables } = prompt;
  const asked = api === "chat"
    ? { messages: messagesOf(problem, prompt), ...(variables && { chat_template_kwargs: variables }) }
    : {
      prompt: tokenizer
        ? encodePrompt({ tokenizer, directory: "the served model" }, problem, prompt)
        : renderPrompt(problem, { ...prompt, template: prompt.template ?? templateOf(problem) }),
    };
  return {
    model,
    ...asked,
    max_tokens: maxTokens,
    temperature,
    top_p: topP,
    ...unlimited,
    ...(topK > 0 && { top_k: topK }),
    seed: streamOf(seed, problem.id, number) >>> 1, // 31 bits: some servers take no more
    ...(stop.length > 0 && { stop }),
  };
}

/** The candidate in an answer; undefined where there is none. */
function candidateIn(
  answer: unknown,
  { api, problem, prompt, stop, tokenizer }: Pick<GenerateFromOptions, "api" | "prompt" | "tokenizer"> & {
    readonly problem: Problem;
    readonly stop: readonly string[];
  },
): Candidate | undefined {
  const chat = api === "chat";
  const { choices, usage } = (answer ?? {}) as {
    choices?: { text?: unknown; message?: { content?: unknown }; finish_reason?: unknown }[];
    usage?: { completion_tokens?: unknown };
  };
  const choice = choices?.[0], said = chat ? choice?.message?.content : choice?.text;
  const finish = choice?.finish_reason;
  if (typeof said !== "string" || !said.isWellFormed() || (finish !== "stop" && finish !== "length")) {
    return undefined;
  }
  // Servers leave the stop text out; one that does not is helped.
  const ends = stop.map((text) => said.indexOf(text)).filter((at) => at >= 0);
  const whole = ends.length === 0 ? said : said.slice(0, Math.min(...ends));
  const tokens = usage?.completion_tokens;
  const plain = () =>
    tokenizer ? responseIn(whole, tokenizer, { problem, prompt }) : plainResponse(whole, problem);
  return {
    text: chat ? whole : plain(),
    finish: ends.length === 0 ? finish : "stop",
    ...(Number.isSafeInteger(tokens) && (tokens as number) > 0 && ends.length === 0 &&
      { tokens: tokens as number }),
  };
}
