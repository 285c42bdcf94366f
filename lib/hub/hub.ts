/**
 * Files of the Hugging Face hub, of data sets and models alike, by way of the shared cache folder.
 *
 * The client library's own download into the cache is not used: it checks no checksum, does not resume, ends on no
 * silence, and two processes that want one file write into the same partial.
 */

import type { HubApiError } from "@huggingface/hub";
import { environmentVariable } from "../runtime/environment.ts";
import { InputError, UsageError } from "../runtime/errors.ts";
import { exists } from "../runtime/files.ts";
import type { Watched } from "../runtime/listener.ts";
import { boundedFetch, type FetchLimits } from "./_fetch.ts";
import { claimPartial } from "./_partial.ts";
import {
  appendBytes,
  type Checksum,
  emptyFile,
  fileMatches,
  finishBlob,
  hubCacheDirectory,
  linkBlob,
  listSnapshot,
  partialSize,
  pathInside,
  readReference,
  writeReference,
} from "./cache.ts";

/** A repository of the hub. */
export interface HubRepository {
  /** `ORG/NAME`, or `NAME` for the oldest ones. */
  readonly repo: string;
  /** Which kind (default "model"). */
  readonly type?: "model" | "dataset";
  /** Branch, tag or commit (default "main"). */
  readonly revision?: string;
}

/** One file of a repository. */
export interface HubFile extends HubRepository {
  /** Its path in the repository. */
  readonly path: string;
}

/** How to reach the hub. */
export interface HubOptions extends Watched {
  /** The hub or a mirror of it (default `HF_ENDPOINT`, or else https://huggingface.co). */
  readonly endpoint?: string;
  /** Access token (default `HF_TOKEN`). */
  readonly token?: string;
  /** Cache folder (default `HF_HUB_CACHE` and what `hubCacheDirectory` says). */
  readonly cacheDirectory?: string;
  /** Only use what is in the cache (default: whether `HF_HUB_OFFLINE` is 1 or true). */
  readonly offline?: boolean;
  /** How often a broken transfer is taken up again (default 3). */
  readonly retries?: number;
  /** Longest silence of the server, in milliseconds (default 60,000). */
  readonly timeout?: number;
}

interface Session {
  readonly repo: { readonly type: "model" | "dataset"; readonly name: string };
  readonly revision: string;
  readonly folder: string;
  readonly offline: boolean;
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
  readonly limits: FetchLimits;
  readonly request: { hubUrl: string; accessToken?: string; fetch: typeof fetch };
}

const COMMIT = /^[0-9a-f]{40}$/;

/**
 * The local path of a file of the hub, downloaded unless the cache has it. A transfer that breaks off is resumed,
 * also by a later call; length and checksum are verified. Throws InputError when the file cannot be had, with the
 * reason, and for any name that would leave the cache folder.
 */
export async function downloadFile(file: HubFile, options: HubOptions = {}): Promise<string> {
  const session = open(file, options);
  const { repo, folder } = session;
  const commit = await findCommit(session);
  const pointer = pathInside(folder, "snapshots", commit, file.path);
  if (await exists(pointer)) return pointer;
  if (session.offline) {
    throw new InputError(
      `Cannot find ${file.path} of ${repo.name} in ${folder}: it must be there when offline`,
    );
  }
  const { pathsInfo } = await import("@huggingface/hub");
  const infos = await ask(
    session,
    () => pathsInfo({ ...session.request, repo, paths: [file.path], revision: commit }),
  );
  const found = infos.find(({ path, type }) => path === file.path && type === "file");
  if (!found) {
    throw new InputError(`Cannot download ${file.path} of ${repo.name}: there is no such file in it`);
  }
  const checksum: Checksum = found.lfs
    ? { kind: "sha256", value: String(found.lfs.oid) }
    : { kind: "git", value: String(found.oid) };
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(checksum.value)) {
    throw new InputError(
      `Cannot download ${file.path} of ${repo.name}: its checksum must be hexadecimal: got ${checksum.value}`,
    );
  }
  const wanted = { size: found.lfs?.size ?? found.size, checksum };
  if (!Number.isSafeInteger(wanted.size) || wanted.size < 0) {
    throw new InputError(
      `Cannot download ${file.path} of ${repo.name}: its size must be a number of bytes: got ${wanted.size}`,
    );
  }
  const blob = pathInside(folder, "blobs", checksum.value);
  if (!await exists(blob)) {
    const onWait = (done: number) =>
      options.listener?.progress?.({ part: file.path, done, total: wanted.size, unit: "bytes" });
    await using partial = await claimPartial(blob, { onWait, signal: options.signal });
    if (partial) {
      await transfer(session, { path: file.path, commit, partial: partial.path, wanted, options });
      await finishBlob(partial.path, blob);
    }
  }
  await linkBlob(blob, pointer);
  return pointer;
}

/** The paths of all files of a repository, sorted; offline, of those that the cache has. */
export async function listRepository(repository: HubRepository, options: HubOptions = {}): Promise<string[]> {
  const session = open(repository, options);
  const commit = await findCommit(session);
  if (session.offline) return await listSnapshot(pathInside(session.folder, "snapshots", commit));
  const { listFiles } = await import("@huggingface/hub");
  return await ask(session, async () => {
    const paths: string[] = [];
    const entries = listFiles({ ...session.request, repo: session.repo, revision: commit, recursive: true });
    for await (const { type, path } of entries) {
      if (typeof path !== "string") {
        throw new InputError(
          `Cannot list ${session.repo.name}: the hub must name each file by a text: got ${
            JSON.stringify(path) ?? "nothing"
          }`,
        );
      }
      if (type === "file") paths.push(path);
    }
    return paths.sort();
  });
}

function open(
  { repo: name, type = "model", revision = "main" }: HubRepository,
  options: HubOptions,
): Session {
  if (!/^[\w-][\w.-]*(\/[\w-][\w.-]*)?$/.test(name)) {
    throw new UsageError(`Name of a repository must be ORG/NAME: got ${JSON.stringify(name)}`);
  }
  const accessToken = options.token ?? environmentVariable("HF_TOKEN");
  if (accessToken !== undefined && !accessToken.startsWith("hf_")) {
    throw new UsageError('Access token (HF_TOKEN) must begin with "hf_"'); // never shown
  }
  const { timeout = 60_000 } = options;
  const hubUrl = (options.endpoint ?? environmentVariable("HF_ENDPOINT") ?? "https://huggingface.co").replace(
    /\/+$/,
    "",
  );
  const folder = pathInside(
    options.cacheDirectory ?? hubCacheDirectory(),
    [`${type}s`, ...name.split("/")].join("--"),
  );
  if (!/^https?:\/\//.test(hubUrl) || !URL.canParse(hubUrl)) {
    throw new UsageError(
      `Address of the hub (HF_ENDPOINT) must begin with https:// or http://: got ${hubUrl}`,
    );
  }
  const limits = { hubUrl, token: accessToken, timeout, signal: options.signal };
  return {
    limits,
    repo: { type, name },
    revision,
    folder,
    timeout,
    signal: options.signal,
    offline: options.offline ?? /^(1|true|yes|on)$/i.test(environmentVariable("HF_HUB_OFFLINE") ?? ""),
    request: { hubUrl, ...(accessToken && { accessToken }), fetch: boundedFetch(limits) },
  };
}

/** The commit that the revision names now or, offline, named when it was last asked for. */
async function findCommit(session: Session): Promise<string> {
  const { repo, revision, folder } = session;
  if (COMMIT.test(revision)) return revision;
  const reference = pathInside(folder, "refs", revision);
  if (session.offline) {
    const commit = await readReference(reference);
    if (commit && COMMIT.test(commit)) return commit;
    throw new InputError(
      `Cannot find ${repo.name} (${revision}) in ${folder}: it must be there when offline`,
    );
  }
  const { datasetInfo, modelInfo } = await import("@huggingface/hub");
  const asked = { ...session.request, name: repo.name, revision, additionalFields: ["sha" as const] };
  const { sha } = await ask<{ sha?: string }>(
    session,
    () => repo.type === "model" ? modelInfo(asked) : datasetInfo(asked),
  );
  if (typeof sha !== "string" || !COMMIT.test(sha)) {
    throw new InputError(
      `Cannot use ${session.request.hubUrl}: its commit of ${repo.name} must be a hash: got ${sha}`,
    );
  }
  await writeReference(reference, sha);
  return sha;
}

interface Transfer {
  readonly path: string;
  readonly commit: string;
  readonly partial: string;
  readonly wanted: { readonly size: number; readonly checksum: Checksum };
  readonly options: HubOptions;
}

/** Brings the partial file to its full length and checks it; goes on from what is there. */
async function transfer(
  session: Session,
  { path, commit, partial, wanted, options }: Transfer,
): Promise<void> {
  const { retries = 3, listener, signal } = options;
  const hub = await import("@huggingface/hub");
  const escaped = path.split("/").map(encodeURIComponent).join("/");
  for (let attempt = 0;; attempt++) {
    signal?.throwIfAborted();
    let have = await partialSize(partial);
    if (have > wanted.size) {
      await emptyFile(partial);
      have = 0;
    }
    try {
      if (have < wanted.size || wanted.size === 0) {
        const blob = await hub.downloadFile({
          ...session.request,
          fetch: boundedFetch(session.limits, { files: true }),
          repo: session.repo,
          path: escaped,
          revision: commit,
        });
        if (!blob) {
          throw new InputError(
            `Cannot download ${path} of ${session.repo.name}: there is no such file in it`,
          );
        }
        const rest = have === 0 ? blob : blob.slice(have, wanted.size);
        const onLength = (done: number) =>
          listener?.progress?.({ part: path, done, total: wanted.size, unit: "bytes" });
        await appendBytes(partial, atMost(wanted.size - have, patient(rest.stream(), session)), { onLength });
      }
      if (await fileMatches(partial, wanted)) return;
      if (await partialSize(partial) < wanted.size) throw new Error("the transfer broke off");
      // A server that ignores ranges, or a file that changed: from the beginning.
      await emptyFile(partial);
      throw new Error("what arrived does not have the expected checksum");
    } catch (error) {
      signal?.throwIfAborted();
      if (attempt >= retries || isFinal(error)) throw explain(session, error, path);
      await new Promise((resolve) => setTimeout(resolve, Math.min(100 * 4 ** attempt, 10_000)));
    }
  }
}

async function ask<T>(session: Session, request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    session.signal?.throwIfAborted();
    throw explain(session, error);
  }
}

/** A refusal that asking again would not change. */
function isFinal(error: unknown): boolean {
  const status = (error as HubApiError).statusCode;
  return error instanceof InputError || (status >= 400 && status < 500 && status !== 408 && status !== 429);
}

/** Any failure as one line that says what to do. */
function explain({ repo, revision, request }: Session, error: unknown, path = ""): InputError {
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

/** The first `limit` bytes: a server that sends more than it declared is not listened to any longer. */
async function* atMost(limit: number, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let left = limit;
  for await (const piece of pieces) {
    yield piece.subarray(0, left);
    left -= piece.length;
    if (left < 0) return;
  }
}

/** The pieces of a stream; throws when none comes for so long. */
async function* patient(
  stream: ReadableStream<Uint8Array>,
  { timeout, signal }: Pick<Session, "timeout" | "signal">,
): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  let whole = false;
  try {
    for (;;) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const silence = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no data for ${timeout} ms`)), timeout);
        signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
      });
      const { done, value } = await Promise.race([reader.read(), silence]).finally(() => clearTimeout(timer));
      whole = done;
      if (done) return;
      yield value;
    }
  } finally {
    if (!whole) reader.cancel().catch(() => {});
  }
}
