/**
 * What turns text into ids: the library, or, where a file brings regular expressions that no public model is known to have,
 * the library in a thread that is ended when a text takes too long.
 */

import { InputError } from "../runtime/errors.ts";
import { openSyncWorker } from "../runtime/sync_worker.ts";
import { type Engine, type EngineRequest, type EngineSource, libraryEngine } from "./_library_engine.ts";

/** Seconds to make the tokenizers, and to turn one text into tokens or back, with a second more for so many characters. */
const OPENING = 10, SECONDS = 2, CHARACTERS_PER_SECOND = 500_000;
/** Seconds for all probes, which take some milliseconds. */
const PROBING = 5;

/** Texts that show at once what a pattern would make of a record: runs that expressions try in ever more ways. */
const probes = ["a", "1", " ", "\n", ".", "-", "ab", "a ", "é", "#", "(", "'s"].flatMap((piece) =>
  ["!", "\n", "x", "\u0001"].map((end) => piece.repeat(2000 / piece.length) + end)
);

/** One engine a source. */
export interface Engines extends Disposable {
  readonly engines: readonly Engine[];
}

/**
 * Makes the engines of one file.
 *
 * @param where the file's path
 * @param strangers where it has expressions that are not known: they are tried on texts made to keep them busy
 * @throws {InputError} one line, when the library refuses the file or a probe does not end
 */
export function openEngines(
  sources: readonly EngineSource[],
  { where, strangers }: { readonly where: string; readonly strangers: readonly string[] },
): Engines {
  if (strangers.length === 0) {
    const engines = sources.map((source) => told(where, () => libraryEngine(source)));
    return {
      engines: engines.map((engine) => ({
        encode: (text, special) => told(where, () => engine.encode(text, special)),
        decode: (ids, skipSpecial) => told(where, () => engine.decode(ids, skipSpecial)),
      })),
      [Symbol.dispose]: () => {},
    };
  }
  const places = strangers.slice(0, 3).join(", ");
  const worker = told(where, () => openSyncWorker(new URL("./_engine_worker.ts", import.meta.url)));
  const ask = (request: EngineRequest, length: number, seconds = SECONDS) => {
    const all = Math.round(seconds + length / CHARACTERS_PER_SECOND);
    return told(where, () =>
      worker.call(request, {
        milliseconds: all * 1000,
        overdue: () => `a text of ${length} characters took more than ${all} seconds, by ${places}`,
      }));
  };
  try {
    ask({ open: sources }, 0, OPENING);
    const engines = sources.map((_, engine): Engine => ({
      encode: (text, special) => ask({ engine, encode: text, special }, text.length) as number[],
      decode: (ids, skipSpecial) => ask({ engine, decode: ids, skipSpecial }, 8 * ids.length) as string,
    }));
    told(where, () =>
      worker.call({ engine: sources.length - 1, probes } satisfies EngineRequest, {
        milliseconds: 1000 * PROBING,
        overdue: () => `texts that are short took more than ${PROBING} seconds, by ${places}`,
      }));
    return { engines, [Symbol.dispose]: () => worker[Symbol.dispose]() };
  } catch (error) {
    worker[Symbol.dispose]();
    throw error;
  }
}

/** What the library throws, in a line that names the file. */
function told<T>(where: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    const [reason] = (error as Error).message.split("\n");
    throw new InputError(`Cannot use ${where}: ${reason}`, { cause: error });
  }
}
