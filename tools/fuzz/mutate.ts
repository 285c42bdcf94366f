/** Ways to spoil a file: of any bytes, and of what is JSON, by its structure. Seeded, so that each mutant can be made again. */

import type { Random } from "../../lib/data/random.ts";

/** One mutant of `original`: one change, or up to four, of its structure where it is JSON and the coin says so. */
export function mutant(original: Uint8Array, random: Random): Uint8Array {
  const json = parsed(original);
  if (json !== undefined && random.next() < 0.75) {
    return encoder.encode(
      JSON.stringify(changes(random).reduce((value) => mutateValue(value, random), json)),
    );
  }
  // Noise makes any text refused at its first byte that is no UTF-8: most mutants of a text stay one.
  const cases = isText(original) && random.next() < 0.85 ? textCases : allCases;
  return changes(random).reduce<Uint8Array>((bytes) => mutateBytes(bytes, random, cases), original);
}

/** Which of the changes in {@linkcode mutateBytes}. */
const allCases = [0, 1, 2, 3, 4, 5, 6, 7], textCases = [2, 3, 4, 5];

function isText(bytes: Uint8Array): boolean {
  try {
    return !new TextDecoder("utf-8", { fatal: true }).decode(bytes).includes("\0");
  } catch {
    return false;
  }
}

const encoder = new TextEncoder();

function changes(random: Random): unknown[] {
  return Array.from({ length: random.next() < 0.6 ? 1 : 2 + random.integer(3) });
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

/** Pieces of text that parsers have stumbled over. */
const pieces = [
  "\0",
  "\ufeff",
  "\n",
  "\r\n",
  '"',
  "'",
  ",",
  ";",
  "{",
  "}",
  "[",
  "]",
  "null",
  "-1",
  "1e999",
  "4294967296",
  "../../",
  "\\u0000",
  "\u001b[2J",
  ".".repeat(3000),
  "[".repeat(5000),
  "(".repeat(5000),
  "{{ ".repeat(50),
  "{% for x in range(100000000) %}{{ x }}{% endfor %}",
  "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
  "(a+)+$",
  "9".repeat(400),
];

function mutateBytes(bytes: Uint8Array, random: Random, cases: readonly number[]): Uint8Array {
  const at = random.integer(bytes.length + 1), length = Math.min(random.integer(64) + 1, bytes.length - at);
  const insert = (piece: Uint8Array) => joined(bytes.subarray(0, at), piece, bytes.subarray(at));
  switch (pick(random, cases)) {
    case 0: { // one bit
      const copy = bytes.slice();
      if (at < copy.length) copy[at]! ^= 1 << random.integer(8);
      return copy;
    }
    case 1: { // one byte
      const copy = bytes.slice();
      if (at < copy.length) copy[at] = random.integer(256);
      return copy;
    }
    case 2: // the end is missing
      return bytes.slice(0, at);
    case 3: // a piece is missing
      return joined(bytes.subarray(0, at), bytes.subarray(at + length));
    case 4: // a piece stands twice
      return insert(bytes.slice(at, at + length));
    case 5: // a piece of something else
      return insert(encoder.encode(pick(random, pieces)));
    case 6: // noise
      return insert(Uint8Array.from({ length: 1 + random.integer(16) }, () => random.integer(256)));
    default: { // a number of 4 bytes: lengths and counts in headers
      const copy = bytes.slice(), place = Math.min(at, Math.max(0, copy.length - 4));
      const value = pick(random, [0, 1, 0x7fffffff, 0x80000000, 0xffffffff, copy.length]);
      for (let i = 0; i < 4 && place + i < copy.length; i++) copy[place + i] = (value >>> (8 * i)) & 255;
      return copy;
    }
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Values that a field may hold and should not. */
function oddValue(random: Random): unknown {
  const odd: unknown[] = [
    null,
    true,
    false,
    0,
    1,
    -1,
    1.5,
    -0.0,
    1e308,
    2 ** 31,
    2 ** 32,
    2 ** 53,
    2e9,
    "",
    "\0",
    "../../escape",
    "\u001b[31mred",
    "x".repeat(10_000),
    pick(random, pieces),
    [],
    {},
    [null],
    [[]],
    { a: {} },
    Array.from({ length: 300 }, (_, i) => i),
    "constructor",
    "__proto__",
  ];
  return pick(random, odd);
}

/** The value with one change somewhere in it. */
function mutateValue(value: unknown, random: Random): unknown {
  if (typeof value !== "object" || value === null || random.next() < 0.04) return changed(value, random);
  const keys = Object.keys(value);
  if (keys.length === 0) return random.next() < 0.5 ? oddValue(random) : { odd: oddValue(random) };
  const copy = (Array.isArray(value) ? [...value] : { ...value }) as Record<string, unknown>;
  const key = pick(random, keys);
  switch (random.integer(12)) {
    case 0:
      if (Array.isArray(copy)) copy.splice(Number(key), 1);
      else delete copy[key];
      return copy;
    case 1: // what stands at another key
      copy[key] = copy[pick(random, keys)];
      return copy;
    case 2: // a key that nobody knows
      if (Array.isArray(copy)) copy.push(oddValue(random));
      else copy[pick(random, ["odd", "", "__proto__x", `${key}2`])] = oddValue(random);
      return copy;
    case 3:
      copy[key] = oddValue(random);
      return copy;
    default:
      copy[key] = mutateValue(copy[key], random);
      return copy;
  }
}

function changed(value: unknown, random: Random): unknown {
  if (typeof value === "number" && random.next() < 0.6) {
    return pick(random, [value + 1, value - 1, -value, value * 2, value / 2, value * 1e9, value + 0.5]);
  }
  if (typeof value === "string" && random.next() < 0.6) {
    const at = random.integer(value.length + 1);
    return pick(random, [
      value.slice(0, at),
      value + value,
      value.slice(0, at) + pick(random, pieces) + value.slice(at),
      value.toUpperCase(),
      ` ${value}`,
    ]);
  }
  return oddValue(random);
}

function pick<T>(random: Random, items: readonly T[]): T {
  return items[random.integer(items.length)]!;
}
