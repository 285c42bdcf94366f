/** What a JSON file that begins with an object is: records, one a line, or an object around a list of them. */

import { InputError } from "../runtime/errors.ts";
import { listNames, shapeFields } from "./_field_names.ts";
import type { Bytes } from "./jsonl.ts";

/** Where a list of records stands in a file. */
export interface ListPlace {
  /** Bytes before its `[`. */
  readonly skip: number;
  /** Number of its line. */
  readonly line: number;
  /** What follows the list belongs to the object around it. */
  readonly enclosed: true;
}

interface Field {
  readonly name: string;
  readonly list: boolean;
  readonly at: number;
  readonly line: number;
}

/** An object's fields, as far as they are kept, and how it is written. */
interface Outline {
  readonly fields: readonly Field[];
  /** Whether it ends on another line than it begins on. */
  readonly tall: boolean;
  /** Whether it ends, and something comes behind it. */
  readonly ended: boolean;
  readonly followed: boolean;
}

const MOST_FIELDS = 256, LONGEST_NAME = 256;

/**
 * Where the records are that a file's object holds in a list; undefined for a file with one value a line. A list is
 * meant where the object is no record itself and its name is one of {@linkcode listNames}.
 *
 * @throws {InputError} for an object that holds several such lists or none, and for records over several lines
 */
export async function listIn(bytes: Bytes, path: string): Promise<ListPlace | undefined> {
  const { fields, tall, ended, followed } = await outline(bytes);
  const fail = (found: string) =>
    new InputError(
      `Cannot read ${path}: ${found}; read are one record a line, a list of records, and an object with a list ` +
        `under ${listNames.slice(0, 4).join(", ")} or the like`,
    );
  const isRecord = fields.some(({ name }) => shapeFields.has(name.toLowerCase()));
  const lists = fields.filter(({ name, list }) => list && listNames.includes(name.toLowerCase()));
  if (!isRecord && !followed && ended && lists.length > 0) {
    const [{ at, line }] = lists as [Field];
    if (lists.length === 1) return { skip: at, line, enclosed: true };
    throw fail(`it holds several lists, ${lists.map(({ name }) => JSON.stringify(name)).join(" and ")}`);
  }
  if (!tall) return undefined; // its reader says what is wrong, if anything
  if (followed || isRecord) {
    throw fail(
      "it holds records that are written over several lines each (`jq -c . FILE` makes each a line)",
    );
  }
  if (!ended) throw fail("it holds a JSON object that breaks off before its end");
  const names = fields.slice(0, 8).map(({ name }) => name).join(", ") || "nothing";
  throw fail(`it holds one JSON object, of ${names}${fields.length > 8 ? ", …" : ""}`);
}

/** Follows brackets and strings of the first value, in bounded memory. */
async function outline(bytes: Bytes): Promise<Outline> {
  const decoder = new TextDecoder();
  const fields: Field[] = [];
  let depth = 0, quoted = false, escaped = false, ended = false;
  let at = 0, line = 1, firstLine = 1;
  let name: number[] | undefined, last: string | undefined, valueNext = false;
  const result = (followed: boolean): Outline => ({ fields, tall: line > firstLine, ended, followed });
  for await (const chunk of bytes) {
    for (const byte of chunk) {
      at++;
      if (ended) {
        if (byte > 0x20) return result(true);
        continue;
      }
      if (byte === 0x0a) line++;
      if (quoted) {
        if (escaped) escaped = false;
        else if (byte === 0x5c) escaped = true;
        else if (byte === 0x22) {
          quoted = false;
          if (name) last = decoder.decode(new Uint8Array(name));
          name = undefined;
          continue;
        }
        if (name && name.length < LONGEST_NAME) name.push(byte);
        continue;
      }
      if (byte <= 0x20) continue;
      const opens = byte === 0x7b || byte === 0x5b;
      if (depth === 1 && valueNext) {
        valueNext = false;
        if (last !== undefined && fields.length < MOST_FIELDS) {
          fields.push({ name: last, list: byte === 0x5b, at: at - 1, line });
        }
        last = undefined;
        if (byte === 0x22) quoted = true;
      } else if (byte === 0x22) {
        quoted = true;
        if (depth === 1) name = [];
      } else if (depth === 1 && byte === 0x3a) valueNext = true;
      if (opens) {
        if (depth++ === 0) firstLine = line;
      } else if ((byte === 0x7d || byte === 0x5d) && --depth === 0) ended = true;
    }
  }
  return result(false);
}
