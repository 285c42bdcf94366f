/** One request to an OpenAI-compatible chat-completions endpoint, and what came of it. */

import { InputError, UsageError } from "../runtime/errors.ts";
import type { ChatMessage } from "./_judge_prompt.ts";

/** Where and how to ask. */
export interface ChatEndpoint {
  /** Base address, as `https://api.openai.com/v1`, or the whole one ending in `/chat/completions`. */
  readonly url: string;
  /** Sent as a bearer token, where there is one; appears in no message. */
  readonly key?: string | undefined;
  /** Longest wait for a whole answer, in milliseconds. */
  readonly timeout: number;
}

/** What is asked. */
export interface ChatRequest {
  /** The model's name at the endpoint. */
  readonly model: string;
  /** The conversation to answer. */
  readonly messages: readonly ChatMessage[];
  /** Sampling temperature. */
  readonly temperature: number;
}

/** Tokens of a request, as the server counts them. */
export interface ChatUsage {
  /** Tokens of the prompt. */
  readonly input: number;
  /** Tokens of the answer. */
  readonly output: number;
}

/**
 * What came of a request:
 *
 * - `reply`: an answer, whatever it says; `content` is undefined where the body is no chat completion.
 * - `failed`: nothing that a later try could not change (429, 408, 5xx, no connection, too slow); `wait` is what the
 *   server asks for, in milliseconds.
 * - `refused`: this one request is not acceptable (400, 413, 422), as one too long.
 */
export type ChatOutcome =
  | { readonly kind: "reply"; readonly content: string | undefined; readonly usage?: ChatUsage }
  | { readonly kind: "failed"; readonly why: string; readonly wait?: number | undefined }
  | { readonly kind: "refused"; readonly why: string };

/**
 * The address of the completions, from a base address.
 *
 * @throws {UsageError} for anything but http or https, and for an address that carries a user or a password
 */
export function completionsAddress(base: string): string {
  const refuse = (why: string) => new UsageError(`Address of the judge must be an http or https URL: ${why}`);
  if (!URL.canParse(base)) throw refuse(`got ${JSON.stringify(base)}`);
  const url = new URL(base);
  if (url.username || url.password) {
    throw refuse("got one with a user or password; a key belongs in an environment variable");
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") throw refuse(`got ${JSON.stringify(base)}`);
  url.hash = "";
  const path = url.pathname.replace(/\/+$/, "");
  url.pathname = path.endsWith("/chat/completions") ? path : `${path}/chat/completions`;
  return url.href;
}

/**
 * Sends one request and reads its answer.
 *
 * @throws {InputError} for a status that no other request would change: a wrong key, model or address
 * @throws the signal's reason when it aborts
 */
export async function askChat(
  endpoint: ChatEndpoint,
  request: ChatRequest,
  signal: AbortSignal,
): Promise<ChatOutcome> {
  const address = completionsAddress(endpoint.url);
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), endpoint.timeout);
  try {
    const response = await fetch(address, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(endpoint.key !== undefined && { authorization: `Bearer ${endpoint.key}` }),
      },
      body: JSON.stringify(request),
      redirect: "manual", // a key goes to the address it was meant for and no other
      signal: AbortSignal.any([signal, late.signal]),
    });
    const body = await response.text();
    return readResponse(response, body, { key: endpoint.key, address });
  } catch (error) {
    if (error instanceof InputError) throw error;
    signal.throwIfAborted();
    if (late.signal.aborted) return { kind: "failed", why: `no answer within ${endpoint.timeout / 1000} s` };
    if ((error as Error).name === "NotCapable") throw new InputError(oneLine((error as Error).message));
    return { kind: "failed", why: connectionTrouble(error) };
  } finally {
    clearTimeout(timer);
  }
}

function readResponse(
  response: Response,
  body: string,
  { key, address }: { readonly key?: string | undefined; readonly address: string },
): ChatOutcome {
  const { status } = response;
  if (status >= 200 && status < 300) return readCompletion(body);
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
  throw new InputError(`Cannot ask the judge at ${address}: ${why}${hint}`);
}

function readCompletion(body: string): ChatOutcome {
  try {
    const { choices, usage } = JSON.parse(body);
    const content = choices?.[0]?.message?.content;
    const { prompt_tokens: input, completion_tokens: output } = usage ?? {};
    const counted = Number.isSafeInteger(input) && Number.isSafeInteger(output);
    return {
      kind: "reply",
      content: typeof content === "string" ? content : undefined,
      ...(counted && { usage: { input, output } }),
    };
  } catch {
    return { kind: "reply", content: undefined };
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
