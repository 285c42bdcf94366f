/** One conversation with the hub about one repository: what is asked, and failures as one line that says what to do. */

import type { HubApiError } from "@huggingface/hub";
import { InputError } from "../runtime/errors.ts";
import type { FetchLimits } from "./_fetch.ts";

export interface Session {
  readonly repo: { readonly type: "model" | "dataset"; readonly name: string };
  readonly revision: string;
  readonly folder: string;
  readonly offline: boolean;
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
  readonly limits: FetchLimits;
  readonly request: { hubUrl: string; accessToken?: string; fetch: typeof fetch };
}

/** A request whose failure is told as one line. */
export async function ask<T>(session: Session, request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    session.signal?.throwIfAborted();
    throw explain(session, error);
  }
}

/** A refusal that asking again would not change. */
export function isFinal(error: unknown): boolean {
  const status = (error as HubApiError).statusCode;
  return error instanceof InputError || (status >= 400 && status < 500 && status !== 408 && status !== 429);
}

/** Any failure as one line that says what to do. */
export function explain({ repo, revision, request }: Session, error: unknown, path = ""): InputError {
  if (error instanceof InputError) return error;
  const what = path ? `${path} of ${repo.name}` : repo.name;
  const status = (error as HubApiError).statusCode;
  const cause = (error as { cause?: { message?: string; code?: string } }).cause;
  const reason = status === 401 || status === 403
    ? `access is refused (${status}): set HF_TOKEN, and accept the repository's terms on its page (the hub refuses a wrong name too)`
    : status === 404
    ? `there is no ${repo.type} of that name and revision "${revision}" (404)`
    : status !== undefined
    ? `the server answered ${status}`
    : [(error as Error).message ?? String(error), cause?.message ?? cause?.code].filter(Boolean).join(": ");
  const line = reason.replace(/ for url \(\S*\)/, "").replace(/\s+/g, " ");
  return new InputError(`Cannot download ${what} from ${request.hubUrl}: ${line}`, { cause: error });
}
