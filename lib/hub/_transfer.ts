/** One file of the hub on its way into a partial file: resumed where it broke off, bounded, and checked in the end. */

import { InputError } from "../runtime/errors.ts";
import type { Watched } from "../runtime/listener.ts";
import { boundedFetch } from "./_fetch.ts";
import { explain, isFinal, type Session } from "./_session.ts";
import { appendBytes, type Checksum, emptyFile, fileMatches, partialSize } from "./cache.ts";

export interface Transfer {
  readonly path: string;
  readonly commit: string;
  readonly partial: string;
  readonly wanted: { readonly size: number; readonly checksum: Checksum };
  readonly options: Watched & { readonly retries?: number };
}

/** Brings the partial file to its full length and checks it; goes on from what is there. */
export async function transfer(
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
