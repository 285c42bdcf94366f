/**
 * An OpenAI-compatible endpoint that is not trusted: where the key goes, how long and how much is listened to, what is tried
 * again.
 */

import { setTimeout as delay } from "node:timers/promises";
import { environmentVariable } from "./environment.ts";
import { InputError, UsageError } from "./errors.ts";
import type { Listener } from "./listener.ts";

/** Which endpoint, and how to ask it. */
export interface EndpointOptions {
  /** What it is, for messages: "judge". */
  readonly name: string;
  /** Base address, as `https://HOST/v1`, or the whole one. */
  readonly url: string;
  /** What is asked there: the end of the address. */
  readonly path: "chat/completions" | "completions";
  /** Sent as a bearer token, where there is one; appears in no message. */
  readonly key?: string | undefined;
  /** Longest wait for a whole answer, in seconds. */
  readonly timeout: number;
  /** Further tries of a request that fails or is answered in another form than asked for. */
  readonly retries: number;
  /** Seconds before the second try; each further wait is twice the last, at most 60 (default 1). */
  readonly backoff?: number | undefined;
  /** Most bytes of an answer (default 8 MiB). */
  readonly largest?: number | undefined;
  /** What ends the message of a failure: where answers are kept. */
  readonly hint?: string | undefined;
  /** Fields that a request can do without: none is sent any more once the server refused a request and named one. */
  readonly optional?: readonly string[] | undefined;
  /** Warned of the first request that is refused. */
  readonly listener?: Listener | undefined;
}

/** What an endpoint was asked. */
export interface EndpointCounts {
  /** Requests sent, further tries among them. */
  requests: number;
  /** Requests that failed: 429, 5xx, no connection, too slow. */
  failed: number;
  /** Answers in another form than asked for; they cost as any other. */
  malformed: number;
  /** Requests that the server does not accept (HTTP 400, 413, 422). */
  refused: number;
  /** Prompt tokens, as the server counts them. */
  input: number;
  /** Completion tokens. */
  output: number;
  /** Answers without a count of tokens. */
  uncounted: number;
}

/** An endpoint to ask again and again. */
export interface Endpoint {
  /** The whole address. */
  readonly address: string;
  /** What happened so far. */
  readonly counts: EndpointCounts;
  /**
   * Sends a request until `read` finds in the answer's JSON (undefined where it is none) what it looks for.
   *
   * - A request that fails (HTTP 408, 429, 5xx, no connection, too slow) is sent again after a growing wait, or the one that
   *   `Retry-After` names.
   * - An answer in another form is asked for again, without a wait.
   *
   * @returns what was read; undefined where the last try had another form, or the request was refused
   * @throws {InputError} when the last try failed, when nothing but refusals came, and for a status that no other request
   * would change: a wrong key, model or address
   * @throws the signal's reason when it aborts
   */
  ask<T>(
    request: object,
    read: (answer: unknown) => T | undefined,
    signal: AbortSignal,
  ): Promise<T | undefined>;
}

/** No wait is longer, in seconds, whatever the server asks for. */
const LONGEST_WAIT = 60;
/** As many refusals before any answer mean that no request is acceptable. */
const HOPELESS = 3;
/** Most bytes of an answer. */
const LARGEST = 8 * 2 ** 20;

/**
 * What came of a request:
 *
 * - `reply`: an answer, whatever it says; no JSON is undefined.
 * - `failed`: nothing that a later try could not change; `wait` is what the server asks for, in milliseconds.
 * - `refused`: this one request is not acceptable, as one too long.
 */
type Outcome =
  | { readonly kind: "reply"; readonly answer: unknown }
  | { readonly kind: "failed"; readonly why: string; readonly wait?: number | undefined }
  | { readonly kind: "refused"; readonly why: string };

/**
 * The whole address of what is asked, from a base address.
 *
 * @throws {UsageError} for anything but http or https, and for an address that carries a user or a password
 */
export function endpointAddress(
  { name, url: base, path }: Pick<EndpointOptions, "name" | "url" | "path">,
): string {
  const refuse = (why: string) =>
    new UsageError(`Address of the ${name} must be an http or https URL: ${why}`);
  if (!URL.canParse(base)) throw refuse(`got ${JSON.stringify(base)}`);
  const url = new URL(base);
  if (url.username || url.password) {
    throw refuse("got one with a user or password; a key belongs in an environment variable");
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") throw refuse(`got ${JSON.stringify(base)}`);
  url.hash = "";
  const way = url.pathname.replace(/\/+$/, "");
  const whole = way.endsWith(`/${path}`) && (path !== "completions" || !way.endsWith("/chat/completions"));
  url.pathname = whole ? way : `${way}/${path}`;
  return url.href;
}

/**
 * The key in an environment variable; undefined where none is named, or `usual` is not set. Messages name the variable, never
 * what it holds.
 *
 * @param of whose key it is: "judge"
 * @throws {UsageError} for a variable that is not set, or holds no key
 */
export function keyFrom(
  variable: string | undefined,
  { of, usual }: { readonly of: string; readonly usual?: string },
): string | undefined {
  const name = variable ?? usual;
  if (name === undefined) return undefined;
  const key = environmentVariable(name)?.trim();
  if (variable !== undefined && !key) {
    throw new UsageError(`Environment variable ${variable} must hold the ${of}'s key: it is not set`);
  }
  if (key && !/^[\x21-\x7e]+$/.test(key)) {
    throw new UsageError(
      `Environment variable ${name} must hold a key of ASCII characters without white space`,
    );
  }
  return key || undefined;
}

/** An endpoint; nothing is asked yet. Throws UsageError for an address that is none. */
export function openEndpoint(options: EndpointOptions): Endpoint {
  const { name, retries, backoff = 1, hint = "", optional = [], listener } = options;
  const address = endpointAddress(options);
  let bare = false;
  const counts: EndpointCounts = {
    requests: 0,
    failed: 0,
    malformed: 0,
    refused: 0,
    input: 0,
    output: 0,
    uncounted: 0,
  };
  return {
    address,
    counts,
    async ask(request, read, signal) {
      for (let attempt = 0;; attempt++) {
        const needed = bare ? without(request, optional) : request;
        const outcome = await send(needed, { ...options, address, signal });
        counts.requests++;
        if (outcome.kind === "reply") {
          count(outcome.answer, counts);
          const found = read(outcome.answer);
          if (found !== undefined) return found;
          counts.malformed++;
          if (attempt >= retries) return undefined;
          continue;
        }
        if (outcome.kind === "refused") {
          const stranger = optional.find((field) => field in needed && outcome.why.includes(field));
          if (stranger !== undefined) {
            if (!bare) {
              listener?.warn?.(
                `The ${name} does not know ${stranger}: its own settings hold (${outcome.why})`,
              );
            }
            bare = true;
            attempt--; // the request was not this one
            continue;
          }
          if (++counts.refused === 1) listener?.warn?.(`The ${name} refused a request: ${outcome.why}`);
          const answered = counts.requests - counts.failed - counts.refused;
          if (answered > 0 || counts.refused < HOPELESS) return undefined;
          throw new InputError(
            `Cannot ask the ${name} at ${address}: it refuses every request: ${outcome.why}`,
          );
        }
        counts.failed++;
        if (attempt >= retries) {
          const tries = `${retries + 1} ${retries === 0 ? "try" : "tries"}`;
          throw new InputError(`Cannot reach the ${name} at ${address}: ${outcome.why}, in ${tries}${hint}`);
        }
        const wait = outcome.wait ?? backoff * 1000 * 2 ** attempt;
        await delay(Math.min(wait, LONGEST_WAIT * 1000), undefined, { signal }).catch(() => {});
        signal.throwIfAborted();
      }
    },
  };
}

function without(request: object, fields: readonly string[]): object {
  return Object.fromEntries(Object.entries(request).filter(([field]) => !fields.includes(field)));
}

/** Adds the tokens that an answer says it took. */
function count(answer: unknown, counts: EndpointCounts): void {
  const { prompt_tokens: input, completion_tokens: output } =
    (answer as { usage?: { prompt_tokens?: unknown; completion_tokens?: unknown } } | null)?.usage ?? {};
  if (isCount(input) && isCount(output)) {
    counts.input += input;
    counts.output += output;
  } else counts.uncounted++;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Sends a request once. */
async function send(
  request: object,
  { name, address, key, timeout, largest = LARGEST, signal }: EndpointOptions & {
    readonly address: string;
    readonly signal: AbortSignal;
  },
): Promise<Outcome> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), timeout * 1000);
  try {
    const response = await fetch(address, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(key !== undefined && { authorization: `Bearer ${key}` }),
      },
      body: JSON.stringify(request),
      redirect: "manual", // a key goes to the address it was meant for and no other
      signal: AbortSignal.any([signal, late.signal]),
    });
    const body = await boundedText(response, largest);
    if (body === undefined) return { kind: "failed", why: `an answer of more than ${largest} bytes` };
    return readResponse(response, body, { name, key, address });
  } catch (error) {
    if (error instanceof InputError) throw error;
    signal.throwIfAborted();
    if (late.signal.aborted) return { kind: "failed", why: `no answer within ${timeout} s` };
    if ((error as Error).name === "NotCapable") throw new InputError(oneLine((error as Error).message));
    return { kind: "failed", why: connectionTrouble(error) };
  } finally {
    clearTimeout(timer);
  }
}

/** The text of a body; undefined for one that is larger, which is not read on. */
async function boundedText(response: Response, largest: number): Promise<string | undefined> {
  if (!response.body) return "";
  const decoder = new TextDecoder();
  let text = "", bytes = 0;
  // Leaving the loop cancels the body.
  for await (const piece of response.body) {
    bytes += piece.length;
    if (bytes > largest) return undefined;
    text += decoder.decode(piece, { stream: true });
  }
  return text + decoder.decode();
}

function readResponse(
  response: Response,
  body: string,
  { name, key, address }: {
    readonly name: string;
    readonly key?: string | undefined;
    readonly address: string;
  },
): Outcome {
  const { status } = response;
  if (status >= 200 && status < 300) return { kind: "reply", answer: parsed(body) };
  const said = oneLine(serverMessage(body));
  const shown = key ? said.replaceAll(key, "(key)") : said;
  const why = `HTTP ${status}${shown === "" ? "" : `: ${shown.slice(0, 200)}`}`;
  if (status === 408 || status === 429 || status >= 500) {
    return { kind: "failed", why, wait: readRetryAfter(response.headers.get("retry-after")) };
  }
  if (status === 400 || status === 413 || status === 422) return { kind: "refused", why };
  const hint = status === 401 || status === 403
    ? key === undefined ? "; no key was sent" : "; the key was not accepted"
    : "";
  throw new InputError(`Cannot ask the ${name} at ${address}: ${why}${hint}`);
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function serverMessage(body: string): string {
  try {
    const { error, message, detail } = JSON.parse(body);
    const found = error?.message ?? error ?? message ?? detail;
    return typeof found === "string" ? found : body;
  } catch {
    return body.replace(/<[^>]*>/g, " "); // a gateway's page
  }
}

/** Seconds or a date, in milliseconds from now; undefined for anything else. */
function readRetryAfter(value: string | null): number | undefined {
  if (value === null || value.trim() === "") return undefined;
  const seconds = Number(value);
  const wait = Number.isNaN(seconds) ? Date.parse(value) - Date.now() : seconds * 1000;
  return Number.isFinite(wait) ? Math.max(0, wait) : undefined;
}

/** What stands between us and the server, in the same words in every runtime. */
function connectionTrouble(error: unknown): string {
  const { message = "", code, cause } = error as Error & { code?: string };
  const all = `${message} ${code} ${(cause as Error | undefined)?.message} ${
    (cause as { code?: string })?.code
  }`;
  if (/refused/i.test(all)) return "connection refused";
  if (/dns|lookup|ENOTFOUND|EAI_AGAIN|resolve host/i.test(all)) return "the host cannot be found";
  if (/reset|closed|incomplete|EOF|ECONNRESET|socket/i.test(all)) return "the connection broke off";
  return oneLine(message) || "no connection";
}

function oneLine(text: string): string {
  return text.replace(/[\s\p{Cc}]+/gu, " ").trim();
}
