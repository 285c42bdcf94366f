/** Rewards from a judge: a language model behind an OpenAI-compatible endpoint. */

import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Group } from "../data/records.ts";
import { environmentVariable } from "../runtime/environment.ts";
import { InputError, UsageError } from "../runtime/errors.ts";
import type { Listener } from "../runtime/listener.ts";
import { askChat, type ChatOutcome, completionsAddress } from "./_chat_endpoint.ts";
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
export interface JudgeCounts {
  /** Requests sent, further tries among them. */
  requests: number;
  /** Requests that failed: 429, 5xx, no connection, too slow. */
  failed: number;
  /** Answers in another form than asked for; they cost as any other. */
  malformed: number;
  /** Requests that the server does not accept (HTTP 400, 413, 422). */
  refused: number;
  /** Groups whose answer was in the cache. */
  cached: number;
  /** Prompt tokens, as the server counts them. */
  input: number;
  /** Completion tokens. */
  output: number;
  /** Answers without a count of tokens: the cost leaves them out. */
  uncounted: number;
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

/** No wait is longer, in seconds, whatever the server asks for. */
const LONGEST_WAIT = 60;
/** As many refusals before any answer mean that no request is acceptable. */
const HOPELESS = 3;

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
  const { model, concurrency = 4, timeout = 60, retries = 4, backoff = 1, temperature = 0, prices = {} } =
    options;
  const { listener } = options;
  const endpoint = { url: options.url, key: readKey(options.keyVariable), timeout: timeout * 1000 };
  const address = completionsAddress(endpoint.url);
  const cache = await openJudgeCache(options.cache);
  const counts: JudgeCounts = {
    requests: 0,
    failed: 0,
    malformed: 0,
    refused: 0,
    cached: 0,
    input: 0,
    output: 0,
    uncounted: 0,
  };
  const underWay = new Map<string, Promise<Rewards>>();
  let answered = 0;

  const take = (outcome: ChatOutcome, count: number): number[] | undefined => {
    counts.requests++;
    if (outcome.kind === "failed") counts.failed++;
    if (outcome.kind === "refused" && ++counts.refused === 1) {
      listener?.warn?.(`The judge refused a request: ${outcome.why}`);
    }
    if (outcome.kind !== "reply") return undefined;
    answered++;
    counts.input += outcome.usage?.input ?? 0;
    counts.output += outcome.usage?.output ?? 0;
    if (!outcome.usage) counts.uncounted++;
    const rewards = outcome.content === undefined ? undefined : parseJudgement(outcome.content, count);
    if (!rewards) counts.malformed++;
    return rewards;
  };

  const ask = async (group: Group, key: string, signal: AbortSignal): Promise<Rewards> => {
    const count = group.candidates.length;
    const request = { model, messages: judgePrompt(group), temperature };
    for (let attempt = 0;; attempt++) {
      const outcome = await askChat(endpoint, request, signal);
      const rewards = take(outcome, count);
      if (outcome.kind === "reply" && rewards) {
        await cache.set(key, outcome.content!);
        return rewards;
      }
      if (outcome.kind === "refused") {
        if (answered > 0 || counts.refused < HOPELESS) break;
        throw new InputError(`Cannot ask the judge at ${address}: it refuses every request: ${outcome.why}`);
      }
      if (attempt === retries) {
        if (outcome.kind === "reply") break;
        const tries = `${retries + 1} ${retries === 0 ? "try" : "tries"}`;
        const kept = options.cache === undefined ? "" : `; what it answered so far is in ${options.cache}`;
        throw new InputError(`Cannot reach the judge at ${address}: ${outcome.why}, in ${tries}${kept}`);
      }
      if (outcome.kind === "failed") {
        const wait = outcome.wait ?? backoff * 1000 * 2 ** attempt;
        await delay(Math.min(wait, LONGEST_WAIT * 1000), undefined, { signal }).catch(() => {});
        signal.throwIfAborted();
      }
    }
    return group.candidates.map(() => undefined);
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

/** The key; undefined where the default variable is not set. Messages name the variable, never what it holds. */
function readKey(variable: string | undefined): string | undefined {
  const key = environmentVariable(variable ?? "OPENAI_API_KEY")?.trim();
  if (variable !== undefined && !key) {
    throw new UsageError(`Environment variable ${variable} must hold the judge's key: it is not set`);
  }
  if (key && !/^[\x21-\x7e]+$/.test(key)) {
    throw new UsageError(
      `Environment variable ${
        variable ?? "OPENAI_API_KEY"
      } must hold a key of ASCII characters without white space`,
    );
  }
  return key || undefined;
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
