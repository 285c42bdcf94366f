import assert from "node:assert/strict";
import { test } from "node:test";
import { formatRecord, readGroups, readJsonl, readLines, readProblems } from "../../lib/data/jsonl.ts";
import { InputError } from "../../lib/runtime/errors.ts";

/** The text's bytes in pieces of `size`, out of one buffer that is filled anew, as a file reader may do. */
async function* pieces(text: string | Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const buffer = new Uint8Array(size);
  for (let at = 0; at < bytes.length; at += size) {
    const part = bytes.subarray(at, at + size);
    buffer.set(part);
    yield buffer.subarray(0, part.length);
    await Promise.resolve();
  }
}

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of stream) all.push(item);
  return all;
}

const fails = (stream: AsyncIterable<unknown>, pattern: RegExp) =>
  assert.rejects(collect(stream), (error: Error) => {
    assert.ok(error instanceof InputError, String(error));
    assert.match(error.message, pattern);
    assert.ok(!error.message.includes("\n"));
    return true;
  });

test("lines are the same however the bytes are cut", async () => {
  const text = '\ufeff{"a":1}\r\n\n  \nJanet’s 🦆\n\r\nlast';
  for (const size of [1, 2, 3, 7, 1000]) {
    assert.deepEqual(await collect(readLines(pieces(text, size))), [
      { text: '{"a":1}', line: 1 },
      { text: "", line: 2 },
      { text: "  ", line: 3 },
      { text: "Janet’s 🦆", line: 4 },
      { text: "", line: 5 },
      { text: "last", line: 6 },
    ], `pieces of ${size}`);
  }
});

test("records have number and line, blank lines do not count", async () => {
  const rows = await collect(readJsonl(pieces('\n{"a":1}\n\n[2]', 4), { source: "f" }));
  assert.deepEqual(rows, [
    { value: { a: 1 }, where: { source: "f", record: 1, line: 2 } },
    { value: [2], where: { source: "f", record: 2, line: 4 } },
  ]);
});

test("malformed, truncated, empty, endless and undecodable input is named", async () => {
  const source = "x.jsonl";
  await fails(
    readJsonl(pieces('{"a":1}\n{"a":2 "b"}\n', 5), { source }),
    /^Cannot read line 2 of x\.jsonl: it must be one JSON value: .*"a":2 "b"/,
  );
  await fails(
    readJsonl(pieces('{"a":1}\n{"question":"half a li', 5), { source }),
    /^Cannot read line 2 of x\.jsonl: it must be one JSON value: it breaks off after 22 characters/,
  );
  await fails(readJsonl(pieces("\n \n", 5), { source }), /^Cannot read x\.jsonl: .*got empty input$/);
  assert.deepEqual(await collect(readJsonl(pieces("", 5), { source, allowEmpty: true })), []);
  await fails(
    readLines(pieces("12345\n1234567", 3), { source, longestLine: 6 }),
    /^Cannot read line 2 of x\.jsonl: .* at most 6 bytes/,
  );
  await fails(
    readLines(pieces("1234567\n", 100), { source, longestLine: 6 }),
    /^Cannot read line 1 of x\.jsonl/,
  );
  await fails(
    readLines(pieces(new Uint8Array([97, 10, 0xff, 0xfe]), 2), { source }),
    /^Cannot read line 2 of x\.jsonl: it must be UTF-8/,
  );
  await fails(
    readProblems(pieces('{"question":1}', 2)),
    /^Cannot read record 1 of standard input: field "question"/,
  );
});

test("what came before a malformed line was handed on, and the source is closed when the reader stops", async () => {
  let closed = false;
  async function* endless() {
    try {
      for (;;) yield new TextEncoder().encode('{"question":"Q"}\n');
    } finally {
      closed = true;
    }
  }
  for await (const problem of readProblems(endless())) {
    assert.equal(problem.id, "line-1");
    break;
  }
  assert.ok(closed);
  const seen: string[] = [];
  await assert.rejects(async () => {
    for await (const { id } of readProblems(pieces('{"question":"Q"}\n{bad\n', 3))) seen.push(id);
  });
  assert.deepEqual(seen, ["line-1"]);
});

test("memory does not grow with the input: 64 MB of lines leave no trace", async () => {
  const line = new TextEncoder().encode(JSON.stringify({ question: "Q".repeat(1000) }) + "\n");
  async function* many() {
    for (let i = 0; i < 64_000; i++) yield line;
  }
  // Bun lets garbage lie for long: only what is still held counts.
  const { Bun } = globalThis as { Bun?: { gc(force: boolean): void } };
  const resident = () => (Bun?.gc(true), process.memoryUsage().rss);
  let count = 0;
  let peak = 0;
  const before = resident();
  for await (const _ of readJsonl(many())) {
    if (count++ % 8000 === 0) peak = Math.max(peak, resident() - before);
  }
  assert.equal(count, 64_000);
  assert.ok(peak < 48 * 2 ** 20, `grew by ${peak} bytes`); // half of what it would hold as UTF-16
});

test("a record and its line are inverses; a number JSON cannot hold is refused", async () => {
  const group = {
    id: "a",
    candidates: [{ text: "line\u2028\nbreak", score: -0.25, extra: null }],
    question: "Q",
    z: [],
  };
  const line = formatRecord(group);
  assert.equal(line.indexOf("\n"), line.length - 1);
  const [back] = await collect(readGroups(pieces(line, 9)));
  assert.equal(
    formatRecord(back),
    formatRecord({ ...group, candidates: [{ text: "line\u2028\nbreak", reward: -0.25, extra: null }] }),
  );
  assert.throws(
    () => formatRecord({ id: "a", score: NaN }),
    /^InputError: Cannot write record "a": field "score" must be a finite number: got NaN$/,
  );
});
