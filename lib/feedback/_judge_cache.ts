/** Answers of a judge that were paid for, in a file of JSON lines, so that a stopped run need not pay again. */

import { readLines } from "../data/jsonl.ts";
import { InputError } from "../runtime/errors.ts";
import { exists, openAppend, readBytes } from "../runtime/files.ts";

/** The answers of a file, by key. */
export interface JudgeCache extends AsyncDisposable {
  /** The reply to the request with this key. */
  get(key: string): string | undefined;
  /** Adds a reply; it has reached the file's system when the promise resolves. */
  set(key: string, reply: string): Promise<void>;
}

/**
 * Opens a cache, and makes the file if there is none. Lines are `{"key":"…","reply":"…"}`; a last line that a killed
 * run left unfinished is skipped. Without a path nothing is kept beyond this process.
 *
 * @throws {InputError} for a file with any other line: it is not a cache, and nothing is added to it
 */
export async function openJudgeCache(path: string | undefined): Promise<JudgeCache> {
  const replies = new Map<string, string>();
  if (path === undefined) {
    return {
      get: (key) => replies.get(key),
      set: (key, reply) => Promise.resolve(void replies.set(key, reply)),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }
  const broken = await exists(path) ? await readReplies(path, replies) : false;
  const file = await openAppend(path, { byUser: true });
  let last = broken ? file.write("\n") : Promise.resolve();
  return {
    get: (key) => replies.get(key),
    set(key, reply) {
      replies.set(key, reply);
      // One after the other, so that two answers that come together do not share a line.
      return last = last.then(() => file.write(JSON.stringify({ key, reply }) + "\n"));
    },
    async [Symbol.asyncDispose]() {
      await last.catch(() => {}); // whoever waited for the write was told
      await file.close();
    },
  };
}

/** Fills the map; true where the last line is unfinished. */
async function readReplies(path: string, replies: Map<string, string>): Promise<boolean> {
  let wrong: number | undefined;
  let ended = true;
  async function* bytes() {
    for await (const chunk of readBytes(path)) {
      ended = chunk.at(-1) === 10;
      yield chunk;
    }
  }
  for await (const { text, line } of readLines(bytes(), { source: path })) {
    if (wrong !== undefined) break;
    if (text.trim() === "") continue;
    const entry = parseEntry(text);
    if (entry) replies.set(entry.key, entry.reply);
    else if (!isBeginning(text)) wrong = line;
  }
  if (wrong === undefined) return !ended;
  throw new InputError(
    `Cannot use ${path} as a cache of the judge's answers: line ${wrong} must be {"key":"…","reply":"…"}; name ` +
      "another file",
  );
}

/** Whether a line may be the beginning of an entry, which stays behind where a run was killed. */
function isBeginning(text: string): boolean {
  const start = '{"key":"';
  return !text.endsWith("}") && (start.startsWith(text) || text.startsWith(start));
}

function parseEntry(text: string): { readonly key: string; readonly reply: string } | undefined {
  try {
    const { key, reply } = JSON.parse(text) ?? {};
    return typeof key === "string" && typeof reply === "string" ? { key, reply } : undefined;
  } catch {
    return undefined;
  }
}
