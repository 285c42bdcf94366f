/** Rewards from a judge: a language model behind an OpenAI-compatible endpoint. */

import { createHash } from "node:crypto";
import type { Group } from "../data/records.ts";
import { type EndpointCounts, keyFrom, openEndpoint } from "../runtime/endpoint.ts";
import type { Listener } from "../runtime/listener.ts";
import { openJudgeCache } from "./_judge_cache.ts";
import { judgePrompt, parseJudgement } from "./_judge_prompt.ts";
import type { Rewards, RewardSource } from "./rank.ts";

/** Which judge, and how to ask it. */
export interface JudgeOptions {
  /** Base address of the endpoint, as `https://api.openai.com/v1`. */
  readonly url: string;
  /** The model's name there. */
  readonly model: string;
  /**
   * Environment variable that holds the key (default OPENAI_API_KEY, which may be unset: a server of one's own needs
   * none). The key is sent to `url` and appears nowhere else.
   */
  readonly keyVariable?: string | undefined;
  /** Requests under way at once (default 4). */
  readonly concurrency?: number | undefined;
  /** Longest wait for an answer, in seconds (default 60). */
  readonly timeout?: number | undefined;
  /** Further tries of a request that fails or is answered in another form than asked for (default 4). */
  readonly retries?: number | undefined;
  /** Seconds before the second try; each further wait is twice the last, at most 60 (default 1). */
  readonly backoff?: number;
  /** Sampling temperature (default 0); some models take no other than 1. */
  readonly temperature?: number | undefined;
  /** File that keeps answers, so that no request is paid for twice (default none). */
  readonly cache?: string | undefined;
  /** Prices of a million prompt tokens and a million completion tokens, in any currency (default 0). */
  readonly prices?: { readonly input?: number | undefined; readonly output?: number | undefined };
  /** Warned of the first request that is refused. */
  readonly listener?: Listener;
}

/** What a judge was asked and what it cost. */
export interface JudgeCounts extends EndpointCounts {
  /** Groups whose answer was in the cache. */
  cached: number;
}

/** A judge as a source for `rank`. Dispose of it to close its cache. */
export interface Judge extends RewardSource, AsyncDisposable {
  /** What happened so far. */
  readonly counts: Readonly<JudgeCounts>;
  /** `input` and `output` tokens at their prices. */
  cost(): number;
  /** The counts and the cost in one line. */
  report(): string;
}

/**
 * A judge that grades the candidates of one group with one request (`judgePrompt` has its words, `parseJudgement` the
 * replies that count).
 *
 * - A request that fails (HTTP 408, 429, 5xx, no connection, too slow) is tried again after a growing wait, or the one
 *   that `Retry-After` names; after the last try the work ends with an InputError. What was answered is in the cache.
 * - A reply in another form is counted and asked for again, without a wait. After the last try the group's candidates
 *   have no reward, since a guess at what was meant would be feedback of our own; the next run asks again.
 * - A request that the server refuses leaves its group without reward; three before any answer end the work.
 *
 * Answers are kept by the SHA-256 of model, temperature and messages: another prompt or model is another request.
 *
 * @throws {UsageError} for an address that is none, and for a key variable that was named and is not set
 * @throws {InputError} for a cache file that is none
 */
export async function openJudge(options: JudgeOptions): Promise<Judge> {
  const { model, concurrency = 4, timeout = 60, retries = 4, temperature = 0, prices = {} } = options;
  const endpoint = openEndpoint({
    name: "judge",
    path: "chat/completions",
    url: options.url,
    key: keyFrom(options.keyVariable, { of: "judge", usual: "OPENAI_API_KEY" }),
    timeout,
    retries,
    backoff: options.backoff,
    hint: options.cache === undefined ? "" : `; what it answered so far is in ${options.cache}`,
    listener: options.listener,
  });
  const cache = await openJudgeCache(options.cache);
  const counts: JudgeCounts = Object.assign(endpoint.counts, { cached: 0 });
  const underWay = new Map<string, Promise<Rewards>>();

  const ask = async (group: Group, key: string, signal: AbortSignal): Promise<Rewards> => {
    const count = group.candidates.length;
    const request = { model, messages: judgePrompt(group), temperature };
    const found = await endpoint.ask(request, (answer) => {
      const reply = contentOf(answer),
        rewards = reply === undefined ? undefined : parseJudgement(reply, count);
      return rewards && { reply: reply!, rewards };
    }, signal);
    if (!found) return group.candidates.map(() => undefined);
    await cache.set(key, found.reply);
    return found.rewards;
  };

  const cost = () => (counts.input * (prices.input ?? 0) + counts.output * (prices.output ?? 0)) / 1e6;
  return {
    name: "judge",
    missing: "a grade from the judge",
    concurrency,
    counts,
    cost,
    report: () => describe(counts, prices.input || prices.output ? cost() : undefined),
    async rewards(group, signal) {
      const count = group.candidates.length;
      if (count === 0) return [];
      const key = createHash("sha256")
        .update(JSON.stringify({ model, temperature, messages: judgePrompt(group) })).digest("hex");
      const known = cache.get(key);
      const rewards = known === undefined ? undefined : parseJudgement(known, count);
      if (rewards) {
        counts.cached++;
        return rewards;
      }
      // The same question a second time waits for the first one's answer, and pays nothing.
      const same = underWay.get(key);
      if (same) return await same;
      const work = ask(group, key, signal).finally(() => underWay.delete(key));
      underWay.set(key, work);
      return await work;
    },
    [Symbol.asyncDispose]: () => cache[Symbol.asyncDispose](),
  };
}

/** What the assistant says in a chat completion; undefined where there is none. */
function contentOf(answer: unknown): string | undefined {
  const { choices } = (answer ?? {}) as { choices?: { message?: { content?: unknown } }[] };
  const content = choices?.[0]?.message?.content;
  return typeof content === "string" ? content : undefined;
}

function describe(counts: JudgeCounts, cost: number | undefined): string {
  const { requests, failed, malformed, refused, cached, input, output, uncounted } = counts;
  const troubles = [
    failed > 0 ? `${failed} failed` : "",
    malformed > 0 ? `${malformed} malformed` : "",
    refused > 0 ? `${refused} refused` : "",
  ].filter((part) => part !== "").join(", ");
  return `Judge: ${requests} ${requests === 1 ? "request" : "requests"}${
    troubles === "" ? "" : ` (${troubles})`
  }, ${cached} answers from the cache, ` +
    `${input} prompt and ${output} completion tokens` +
    (cost === undefined ? "" : `, cost ${cost.toPrecision(4)}`) +
    (uncounted === 0 ? "" : `; ${uncounted} answers came without a count of tokens`);
}
