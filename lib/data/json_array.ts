/** A JSON list as a stream of its elements, so that a file of any size is read in bounded memory. */

import { InputError } from "../runtime/errors.ts";
import type { Bytes, JsonlOptions, Row } from "./jsonl.ts";

const QUOTE = 0x22, BACKSLASH = 0x5c, COMMA = 0x2c, NEWLINE = 0x0a;
const OPEN = new Set([0x5b, 0x7b]); // [ {
const CLOSE = new Set([0x5d, 0x7d]); // ] }
const BLANK = new Set([0x20, 0x09, 0x0a, 0x0d]);
const MARK = new Set([0xef, 0xbb, 0xbf]); // the bytes of a byte order mark

/** How to read a list. */
export interface JsonArrayOptions extends JsonlOptions {
  /** Bytes before the list (default 0). */
  readonly skip?: number;
  /** Number of the line on which it begins (default 1). */
  readonly line?: number;
  /** Whether an object is around the list, so that more follows its end (default false). */
  readonly enclosed?: boolean;
}

/**
 * The elements of a JSON list at the top level. Only brackets and strings are followed; each element is then parsed as
 * a whole. Throws InputError, with the record's number and line, for what is not JSON or breaks off, and for an empty
 * list unless `allowEmpty`.
 */
export async function* readJsonArray(bytes: Bytes, options: JsonArrayOptions = {}): AsyncGenerator<Row> {
  const { source = "standard input", allowEmpty = false, longestLine = 64 * 2 ** 20 } = options;
  let { skip = 0, line = 1 } = options;
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let depth = 0, inString = false, escaped = false, ended = false;
  let record = 0, firstLine = line, length = 0;
  let pieces: Uint8Array[] = [];

  const fail = (problem: string) =>
    new InputError(`Cannot read record ${record + 1} of ${source} (line ${firstLine}): ${problem}`);
  const parse = (): Row => {
    let text = "";
    try {
      for (const piece of pieces) text += decoder.decode(piece, { stream: true });
      text += decoder.decode();
      const value = JSON.parse(text);
      record++;
      return { value, where: { source, record, line: firstLine, id: `record-${record}` } };
    } catch (error) {
      if (text.trim() === "") throw fail("a comma must stand between two records: got nothing on one side");
      const reason = (error as Error).message.replace(/\s+/g, " ");
      throw fail(`it must be one JSON value: ${reason}: ${text.trim().slice(0, 40)}`);
    }
  };

  for await (const whole of bytes) {
    const chunk = whole.subarray(skip);
    skip -= whole.length - chunk.length;
    let start = 0;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i];
      if (byte === NEWLINE) line++;
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inString = false;
        continue;
      }
      if (BLANK.has(byte)) {
        if (length === 0 && i === start) start = i + 1, firstLine = line;
        continue;
      }
      if (depth === 0) {
        if (MARK.has(byte) && record === 0) continue;
        if (ended || byte !== 0x5b) {
          throw fail(ended ? "nothing must follow the list's end" : 'a list must begin with "["');
        }
        depth = 1;
        start = i + 1;
        firstLine = line;
      } else if (byte === QUOTE) inString = true;
      else if (OPEN.has(byte)) depth++;
      else if (depth === 1 && (byte === COMMA || byte === 0x5d)) {
        pieces.push(chunk.subarray(start, i));
        const last = byte === 0x5d;
        if (length + i - start > 0 || !last || record > 0) yield parse();
        pieces = [];
        length = 0;
        start = i + 1;
        firstLine = line;
        if (last) depth = 0, ended = true;
        if (last && options.enclosed) break;
      } else if (CLOSE.has(byte)) depth--;
    }
    if (ended && options.enclosed) break;
    if (start < chunk.length && !ended) {
      pieces.push(chunk.slice(start));
      length += chunk.length - start;
      if (length > longestLine) throw fail(`a record must have at most ${longestLine} bytes`);
    }
  }
  if (!ended && (depth > 0 || record > 0)) throw fail("the list breaks off before its end");
  if (record === 0 && !allowEmpty) {
    throw new InputError(`Cannot read ${source}: it must have at least one record: got empty input`);
  }
}
