/** `fetch` for a hub that is not trusted: where the access token goes, how long and how much is listened to. */

import { InputError } from "../runtime/errors.ts";

/** What binds the requests of one call. */
export interface FetchLimits {
  /** The hub: the only host that gets the token. */
  readonly hubUrl: string;
  readonly token?: string | undefined;
  /** Longest wait for headers, and for the whole of an answer that is no file, in milliseconds. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
}

/** Bytes of all answers of one call that are no files: a page of 1,000 names takes some 300 KiB. */
const answerBytes = 64 * 1024 * 1024;
/** Answers of one call: pages of a listing, above all. */
const answerCount = 1000;

/**
 * `fetch` that gives up on silence. The token goes to the hub's own origin alone, over https or to this machine, on
 * whatever page, link or redirect a server names (fetch itself takes it from redirects to other origins). Answers are
 * read here, bounded in number, bytes and time; with `files`, what is fetched with success is a file: its bytes stream,
 * and who reads them bounds them.
 */
export function boundedFetch(
  { hubUrl, token, timeout, signal }: FetchLimits,
  options: { readonly files?: boolean } = {},
): typeof fetch {
  let bytes = 0, answers = 0;
  const tooMuch = (what: string) => new InputError(`Cannot use ${hubUrl}: it answers with more than ${what}`);
  return (async (input: RequestInfo | URL, init?: RequestInit) => {
    if (++answers > answerCount) throw tooMuch(`${answerCount} pages`);
    const headers = new Headers(init?.headers);
    const url = input instanceof Request ? input.url : String(input);
    if (token && headers.get("authorization") === `Bearer ${token}` && !mayHaveToken(url, hubUrl)) {
      headers.delete("authorization");
    }
    const silence = new AbortController();
    const timer = setTimeout(() => silence.abort(new Error(`no answer for ${timeout} ms`)), timeout);
    try {
      const ends = signal ? AbortSignal.any([silence.signal, signal]) : silence.signal;
      const response = await fetch(input, { ...init, headers, signal: ends });
      if (options.files && response.ok || !response.body) return response;
      const pieces: Uint8Array<ArrayBuffer>[] = [];
      // Leaving the loop cancels the body.
      for await (const piece of response.body) {
        bytes += piece.length;
        if (bytes > answerBytes) throw tooMuch(`${answerBytes} bytes`);
        pieces.push(piece);
      }
      const { status, statusText } = response;
      return new Response(new Blob(pieces), { status, statusText, headers: response.headers });
    } catch (error) {
      throw silence.signal.aborted ? silence.signal.reason : error;
    } finally {
      clearTimeout(timer);
    }
  }) as typeof fetch;
}

function mayHaveToken(url: string, hubUrl: string): boolean {
  const { origin, protocol, hostname } = new URL(url);
  const isLoopback = hostname === "localhost" || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname);
  return origin === new URL(hubUrl).origin && (protocol === "https:" || isLoopback);
}
