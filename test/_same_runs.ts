/** Runs of several ranks beside runs of one process. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Numbers within 5e-5, relative where they are large, since the weights of each training are within 1e-5; all else the
 * same. Both are taken as JSON keeps them, without what a clock or a heap says, and without digests of weights.
 */
export function assertNear(actual: unknown, expected: unknown, what: string): void {
  compare(plain(actual), plain(expected), what);
}

/** That two runs of `align` have the same files, and in them the same rows, candidates and metrics. */
export function assertSameRuns(actual: string, expected: string): void {
  const files = (out: string) => readdirSync(out, { recursive: true }).map(String).sort();
  assert.deepEqual(files(actual), files(expected));
  const read = (out: string, file: string) => readFileSync(join(out, file), "utf8");
  const rows = (out: string) => JSON.parse(read(out, "results.json")).rows;
  assertNear(rows(actual), rows(expected), "rows");
  for (const file of files(expected).filter((file) => file.endsWith(".jsonl"))) {
    const lines = (out: string) => read(out, file).trim().split("\n").map((line) => JSON.parse(line));
    assertNear(lines(actual), lines(expected), file);
  }
}

function plain(value: unknown): unknown {
  const left = /^(milliseconds|tokens_per_second|allocated_bytes|model_digest)$/;
  return JSON.parse(JSON.stringify(value), (name, of) => left.test(name) ? undefined : of);
}

function compare(actual: unknown, expected: unknown, what: string): void {
  if (typeof actual === "number" && typeof expected === "number") {
    const off = Math.abs(actual - expected), allowed = 5e-5 * Math.max(1, Math.abs(expected));
    assert.ok(off <= allowed, `${what}: ${actual}, not ${expected}`);
  } else if (isObject(actual) && isObject(expected)) {
    assert.deepEqual(Object.keys(actual), Object.keys(expected), what);
    for (const [name, value] of Object.entries(actual)) compare(value, expected[name], `${what}.${name}`);
  } else assert.equal(actual, expected, what);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
