import { blockRecords } from "../data/shards.ts";
import { turns } from "../runtime/turns.ts";
import { checkNumbers } from "../runtime/check_numbers.ts";
import { checkNames, type NamesOf } from "../runtime/check_names.ts";
import { label, type LabelCounts, type LabelOptions } from "../feedback/label.ts";
import { groupRows, planMicroBatches, type TokenGroup } from "../model/packing.ts";
import type { PromptOptions } from "../data/prompts.ts";
import { checkPrompt } from "../data/template_options.ts";
import type { Candidate, Group } from "../data/records.ts";
import { forward, orderedLogprobs } from "../model/decoder.ts";
import { deviceBatch } from "../model/batch.ts";
import { modelDigest, promptDigest } from "../model/digests.ts";
import { encodePrompt, encodeResponse } from "../model/encode.ts";
import { warnOfPrompts } from "../model/prompt_warnings.ts";
import type { Model } from "../model/model.ts";
import { InputError } from "../runtime/errors.ts";
import type { Watched } from "../runtime/listener.ts";

/** How candidates are scored. */
export interface ScoreOptions extends Watched, Pick<LabelOptions, "strict" | "relabel"> {
  /** Rows computed at once (default 4,096), of at most 32 groups: the first 32, the next 32, and so on. */
  readonly microBatchTokens?: number | undefined;
  /** What to do with a candidate that exceeds the model's context (default "skip": reported, no score). */
  readonly tooLong?: "skip" | "refuse";
  /**
   * Groups at the beginning whose results are known already (default 0): they are not yielded, and computed only where they
   * share a micro-batch with others, so that the numbers of those are the ones of a whole run to the last digit.
   */
  readonly skip?: number;
  /** How prompts are made. */
  readonly prompt?: PromptOptions | undefined;
}

const names: NamesOf<ScoreOptions> = {
  strict: true,
  relabel: true,
  microBatchTokens: true,
  tooLong: true,
  skip: true,
  prompt: true,
  listener: true,
  signal: true,
};

/**
 * Labels candidates and adds the model's log-prob and score to each, and the reference's as `reference_logprob` and
 * `reference_score`.
 *
 *   logprob = Σ_j log P(c_j | c_<j, question),   score = logprob / |c|
 *
 * in nats, over the response's tokens and its end token (unless it broke off). Without a model only labels are made.
 *
 * Which model made them and behind which prompt is kept as `model_digest` and `prompt_digest`; training refuses reference
 * log-probs of another prompt. Log-probs that a record brings are replaced, those of another model's tokens too.
 *
 * ```ts
 * import { loadModel, score } from "./mod.ts";
 *
 * using model = await loadModel("fixtures/base");
 * const candidates = [{ text: "2 + 3 = 5. #### 5" }, { text: "2 + 3 = 6. #### 6" }];
 * const group = { id: "sum", question: "Ann has 2 pens. She buys 3 more. How many pens?", answer: "5", candidates };
 * for await (const scored of score(model, [group])) {
 *   for (const { text, correct, score } of scored.candidates) console.log(text, correct, score);
 * }
 * ```
 */
export async function* score(
  model: Model | undefined,
  groups: AsyncIterable<Group> | Iterable<Group>,
  options: ScoreOptions = {},
): AsyncGenerator<Group> {
  checkNames(options, names, { of: "score" });
  checkPrompt(options.prompt, "score");
  checkNumbers(options, { microBatchTokens: "count", skip: "count or 0" }, "Option");
  const { microBatchTokens = 4096, skip = 0, listener, signal } = options;
  const progress = (tokens: number) => {
    done++;
    listener?.progress?.({ part: "score", done, tokens });
  };
  const counts: LabelCounts = { candidates: 0, correct: 0, unanswered: 0 };
  let waiting: Encoded[] = [], rows = 0, read = 0, done = 0, tooLong = 0, digest: string | undefined;
  const turn = turns();
  const flush = async function* (): AsyncGenerator<Group> {
    const ready = waiting;
    waiting = [];
    rows = 0;
    if (done + ready.length <= skip) return void (done += ready.length);
    digest ??= await modelDigest(model!);
    for (const group of await addScores(model!, ready, { budget: microBatchTokens, digest, signal, turn })) {
      progress(group.candidates.reduce((sum, c) => sum + (c.tokens ?? 0), 0));
      if (done > skip) yield group;
    }
  };
  const look = model && warnOfPrompts(model, options.prompt, listener);
  for await (const group of groups) {
    await turn();
    look?.(group);
    signal?.throwIfAborted();
    const labelled = label(group, { ...options, counts });
    if (!model) {
      progress(0);
      if (done > skip) yield labelled;
      continue;
    }
    const encoded = encode(model, labelled, options), needed = groupRows(encoded.tokens);
    tooLong += encoded.tooLong;
    // A micro-batch ends with its block: then a shard has the numbers of the whole, to the last digit.
    const full = read++ % blockRecords === 0 || rows + needed > microBatchTokens;
    if (waiting.length > 0 && full) yield* flush();
    waiting.push(encoded);
    rows += needed;
  }
  if (waiting.length > 0) yield* flush();
  if (tooLong > 0) {
    const context = `the context of ${model!.config.maxPositions} tokens: no score`;
    listener?.warn?.(
      tooLong === 1 ? `1 response exceeds ${context}` : `${tooLong} responses exceed ${context}`,
    );
  }
  if (counts.unanswered > 0) {
    listener?.warn?.(
      `${counts.unanswered} of ${counts.candidates} candidates have no answer that could be found: they count as ` +
        "wrong",
    );
  }
}

/** A group's tokens; response i of `tokens` is candidate `places[i]`, or the reference where that is −1. */
interface Encoded {
  readonly group: Group;
  readonly tokens: TokenGroup;
  readonly places: readonly number[];
  readonly tooLong: number;
}

function encode(model: Model, group: Group, options: ScoreOptions): Encoded {
  const prompt = encodePrompt(model, group, options.prompt), context = model.config.maxPositions;
  const responses: number[][] = [], places: number[] = [];
  let tooLong = 0;
  const add = (candidate: Pick<Candidate, "text" | "finish" | "token_ids" | "tool_calls">, place: number) => {
    const ids = encodeResponse(model, candidate, { problem: group, prompt: options.prompt });
    if (ids.length === 0) return;
    if (prompt.length + ids.length - 1 <= context) {
      responses.push(ids);
      places.push(place);
    } else if (options.tooLong === "refuse") {
      throw new InputError(
        `Cannot score "${group.id}": prompt and response have ${prompt.length + ids.length} tokens and the ` +
          `context holds ${context}`,
      );
    } else tooLong++;
  };
  group.candidates.forEach(add);
  const { reference: text, reference_tool_calls: calls } = group;
  if (text !== undefined) add({ text, ...(calls && { tool_calls: calls }) }, -1);
  return { group, tokens: { prompt, responses }, places, tooLong };
}

async function addScores(
  model: Model,
  encoded: readonly Encoded[],
  { budget, digest, signal, turn }: {
    readonly budget: number;
    readonly digest: string;
    readonly signal: AbortSignal | undefined;
    readonly turn: () => Promise<void>;
  },
): Promise<Group[]> {
  const sums = encoded.map((e) => new Float64Array(e.places.length));
  for (const planned of planMicroBatches(encoded.map((e) => e.tokens), budget)) {
    await turn();
    signal?.throwIfAborted();
    // A group that has nothing to score may have a prompt beyond the context.
    const pieces = planned.pieces.filter((p) => p.candidates.length > 0);
    if (pieces.length === 0) continue;
    using batch = deviceBatch(
      model.decoder,
      pieces.map(({ group, candidates }) => ({
        prompt: encoded[group].tokens.prompt,
        responses: candidates.map((c) => encoded[group].tokens.responses[c]),
      })),
    );
    using pass = forward(model.decoder, batch, { keep: "nothing" });
    const logprobs = await orderedLogprobs(pass, batch);
    for (const { group, candidate, start, end } of batch.host.spans) {
      const piece = pieces[group];
      for (let i = start; i < end; i++) sums[piece.group][piece.candidates[candidate]] += logprobs[i];
    }
  }
  return encoded.map(({ group, tokens, places }, g) => {
    const { reference_logprob: _, reference_score: __, reference_tokens: ___, ...kept } = group;
    const candidates = group.candidates.map(({ logprob: _, score: __, ...rest }): Candidate => rest);
    let reference: Record<string, number> = {};
    places.forEach((place, i) => {
      const logprob = sums[g][i], count = tokens.responses[i].length;
      if (place < 0) {
        reference = { reference_logprob: logprob, reference_score: logprob / count, reference_tokens: count };
      } else candidates[place] = { ...candidates[place], tokens: count, logprob, score: logprob / count };
    });
    const digests = { prompt_digest: promptDigest(tokens.prompt), model_digest: digest };
    return { ...kept, ...reference, ...digests, candidates };
  });
}
