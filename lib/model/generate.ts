import { checkNumbers } from "../runtime/check_numbers.ts";
import { checkPrompt } from "../data/template_options.ts";
import { checkNames, type NamesOf } from "../runtime/check_names.ts";
import type { PromptOptions } from "../data/prompts.ts";
import type { Candidate, Group, Problem } from "../data/records.ts";
import { InputError } from "../runtime/errors.ts";
import type { Watched } from "../runtime/listener.ts";
import { DecodingSession, type Sampled } from "./decoding.ts";
import { decodeResponse, encodePrompt, encodeResponse, endTokensOf, nothingEnds } from "./encode.ts";
import { limitsOf } from "./memory_limits.ts";
import { checkStop, stopTextsOf, type StopWatch, watchStops } from "./stop_texts.ts";
import type { Model } from "./model.ts";
import { warnOfPrompts } from "./prompt_warnings.ts";
import { streamOf } from "./_stream_of.ts";
import { slotsThatFit } from "./slots.ts";

/** How candidates are sampled. */
export interface GenerateOptions extends Watched {
  /** Candidates a question (default 6); 1 when the temperature is 0, since all would be equal. */
  readonly samples?: number;
  /** Most tokens of a response (default 256). */
  readonly maxTokens?: number | undefined;
  /** Default 1; 0 is greedy. */
  readonly temperature?: number | undefined;
  /** Default 0: no limit. */
  readonly topK?: number | undefined;
  /** Default 1: no limit. */
  readonly topP?: number | undefined;
  /** Default 0. */
  readonly seed?: number | undefined;
  /** Keep equal candidates (default false: equals are drawn again, at most as often as `samples`, then left out). */
  readonly keepDuplicates?: boolean;
  /**
   * Texts that end a response, which ends before the first of them, `finish: "stop"`. Default: where the next question of a
   * plain template begins (`\n\nQuestion:`, `\nQuestion:`), nothing in a chat or behind a record's own prompt; an empty list
   * is none.
   */
  readonly stop?: readonly string[] | undefined;
  /**
   * Keep each candidate's ids as `token_ids`, so that the tokens drawn are scored and trained on (default false). Of a
   * response that a stop text ended: the drawn ones that lie wholly before it, the tokenizer's for what is left of a token
   * in which it begins, and the end token that the text stands for; they spell the candidate's text.
   */
  readonly tokenIds?: boolean;
  /** Sequences decoded at once (default: as many as their cache fits, at most 96). */
  readonly slots?: number | undefined;
  /** Tokens between two readbacks (default 16 on WebGPU, 1 on WASM). */
  readonly block?: number;
  /** What to do with a prompt that leaves no room in the context (default "skip": reported, no candidates). */
  readonly tooLong?: "skip" | "refuse";
  /** How prompts are made. */
  readonly prompt?: PromptOptions | undefined;
  /** Told what each response of a question is so far, after every block of tokens; its last character may be cut. */
  readonly heard?: ((text: string, of: { readonly id: string; readonly sample: number }) => void) | undefined;
}

const names: NamesOf<GenerateOptions> = {
  samples: true,
  maxTokens: true,
  temperature: true,
  topK: true,
  topP: true,
  seed: true,
  keepDuplicates: true,
  stop: true,
  tokenIds: true,
  slots: true,
  block: true,
  tooLong: true,
  prompt: true,
  heard: true,
  listener: true,
  signal: true,
};

const numbers = {
  samples: "count",
  maxTokens: "count",
  temperature: "positive or 0",
  topK: "count or 0",
  topP: "share",
  seed: "number",
  slots: "count",
  block: "count",
} as const;

interface Pending {
  readonly problem: Problem;
  readonly prompt: readonly number[];
  readonly candidates: Candidate[];
  /** Finds what ends a response; undefined where no text does. */
  readonly stops: StopWatch | undefined;
  /** Samples asked for so far: the next one's number. */
  asked: number;
  /** Samples wanted now, not yet admitted. */
  wanted: number;
  done: boolean;
}

/**
 * Samples candidates for each problem; groups come out in the order of the problems.
 *
 * Candidates are distinct texts; fewer than `samples` come when the model keeps repeating itself. Candidates that a
 * record brings are replaced.
 *
 * ```ts
 * import { generate, loadDataset, loadModel } from "./mod.ts";
 *
 * using model = await loadModel("fixtures/base");
 * const problems = loadDataset("arithmetic", { limit: 2 });
 * for await (const { question, candidates } of generate(model, problems, { samples: 3, maxTokens: 32 })) {
 *   console.log(question, candidates.map(({ text }) => text));
 * }
 * ```
 *
 * @throws {InputError} when a prompt leaves no room and `tooLong` is "refuse"
 */
export async function* generate(
  model: Model,
  problems: AsyncIterable<Problem> | Iterable<Problem>,
  options: GenerateOptions = {},
): AsyncGenerator<Group> {
  checkNames(options, names, { of: "generate" });
  checkPrompt(options.prompt, "generate");
  checkNumbers(options, numbers, "Option");
  checkStop(options.stop);
  const { maxTokens = 256, temperature = 1, topK = 0, topP = 1, seed = 0, listener, signal } = options;
  const samples = temperature === 0 ? 1 : options.samples ?? 6;
  const slots = options.slots === undefined
    ? slotsThatFit(model.config, { maxTokens, samples, limits: limitsOf(model.device) })
    : Math.max(samples, options.slots);
  const sampling = {
    temperature,
    topK,
    topP,
    drawable: model.tokenizer.vocabularySize,
    maxTokens,
    endTokens: endTokensOf(model, options.prompt),
    block: options.block,
    signal,
  };
  if (sampling.endTokens.length === 0) listener?.warn?.(nothingEnds);
  const look = warnOfPrompts(model, options.prompt, listener);
  const watches = new Map<string, StopWatch | undefined>();
  const stopsOf = (problem: Problem): StopWatch | undefined => {
    const texts = stopTextsOf(model, problem, options), key = JSON.stringify(texts);
    if (!watches.has(key)) {
      watches.set(key, texts.length === 0 ? undefined : watchStops(model.tokenizer, texts));
    }
    return watches.get(key);
  };
  const source = iterate(problems);
  const queue: Pending[] = [];
  let session: DecodingSession | undefined,
    longest = 0,
    ended = false,
    finished = 0,
    tooLong = 0,
    reported = 0;
  try {
    while (true) {
      // Enough questions to refill every slot at once; more would only wait in memory.
      while (!ended && queue.length < 2 * Math.ceil(slots / samples) + 2) {
        const next = await source.next();
        if (next.done) {
          ended = true;
          break;
        }
        look(next.value);
        const prompt = encodePrompt(model, next.value, options.prompt);
        const fits = prompt.length < model.config.maxPositions;
        if (!fits && options.tooLong === "refuse") {
          throw new InputError(
            `Cannot generate for "${next.value.id}": its prompt has ${prompt.length} tokens and the context ` +
              `holds ${model.config.maxPositions}`,
          );
        }
        if (!fits) tooLong++;
        queue.push({
          problem: next.value,
          prompt,
          candidates: [],
          stops: stopsOf(next.value),
          asked: 0,
          wanted: fits ? samples : 0,
          done: !fits,
        });
      }
      while (queue[0]?.done) {
        const { problem, candidates } = queue.shift()!;
        finished++;
        const tokens = (session?.generated ?? 0) - reported;
        listener?.progress?.({ part: "generate", done: finished, tokens });
        reported = session?.generated ?? 0;
        yield { ...problem, candidates };
      }
      if (queue.length === 0 && ended) break;
      longest = Math.max(longest, ...queue.map((p) => p.prompt.length));
      session ??= new DecodingSession(model.decoder, { ...sampling, slots, samples, longestPrompt: longest });
      for (const pending of queue) {
        if (pending.wanted === 0) continue;
        const { wanted, asked } = pending;
        const streams = Array.from(
          { length: wanted },
          (_, i) => streamOf(seed, pending.problem.id, asked + i),
        );
        const { heard } = options, { problem } = pending;
        const drawn = heard &&
          ((sample: number, ids: readonly number[]) =>
            heard(decodeResponse(model, ids, { problem, prompt: options.prompt }), {
              id: problem.id,
              sample: asked + sample,
            }));
        if (
          !session.tryAdmit(
            { prompt: pending.prompt, streams, stopped: pending.stops?.stopped, drawn },
            (results) => receive(model, pending, { results, samples, options }),
          )
        ) {
          break;
        }
        pending.asked += wanted;
        pending.wanted = 0;
      }
      if (session.live === 0 && queue.some((p) => p.wanted > 0)) {
        session.dispose(); // a prompt longer than any before: the cache is made anew
        session = undefined;
        reported = 0;
        continue;
      }
      await session.advance();
    }
  } finally {
    session?.dispose();
    await source.return?.();
  }
  if (tooLong > 0) {
    listener?.warn?.(
      `${
        tooLong === 1 ? "1 prompt leaves" : `${tooLong} prompts leave`
      } no room in the context of ${model.config.maxPositions} tokens: no candidates`,
    );
  }
}

function receive(
  model: Model,
  pending: Pending,
  { results, samples, options }: {
    readonly results: readonly Sampled[];
    readonly samples: number;
    readonly options: GenerateOptions;
  },
): void {
  for (const { ids: drawn, finish } of results) {
    const ids = pending.stops?.cut(drawn) ?? drawn;
    const context = { problem: pending.problem, prompt: options.prompt };
    const text = decodeResponse(model, ids, context);
    if (!options.keepDuplicates && pending.candidates.some((c) => c.text === text)) continue;
    const end = finish === "stop" ? encodeResponse(model, { text: "" }, context) : [];
    pending.candidates.push({
      text,
      finish,
      tokens: ids.length + end.length,
      ...(options.tokenIds && { token_ids: [...ids, ...end] }),
    });
  }
  const missing = samples - pending.candidates.length;
  pending.wanted = Math.max(0, Math.min(missing, 2 * samples - pending.asked));
  pending.done = pending.wanted === 0;
}

function iterate<T>(source: AsyncIterable<T> | Iterable<T>): AsyncIterator<T> {
  if (Symbol.asyncIterator in source) return source[Symbol.asyncIterator]();
  const inner = source[Symbol.iterator]();
  return {
    next: () => Promise.resolve(inner.next()),
    return: () => Promise.resolve(inner.return?.() ?? { done: true, value: undefined }),
  };
}
