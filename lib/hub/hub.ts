/**
 * Files of the Hugging Face hub, of data sets and models alike, by way of the shared cache folder.
 *
 * The client library's own download into the cache is not used: it checks no checksum, does not resume, ends on no
 * silence, and two processes that want one file write into the same partial.
 */

import { environmentVariable } from "../runtime/environment.ts";
import { InputError, UsageError } from "../runtime/errors.ts";
import { exists } from "../runtime/files.ts";
import type { Watched } from "../runtime/listener.ts";
import { boundedFetch } from "./_fetch.ts";
import { claimPartial } from "./_partial.ts";
import { ask, type Session } from "./_session.ts";
import { transfer } from "./_transfer.ts";
import {
  type Checksum,
  finishBlob,
  hubCacheDirectory,
  linkBlob,
  listSnapshot,
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
