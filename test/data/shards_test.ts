import assert from "node:assert/strict";
import { test } from "node:test";
import { readJsonl } from "../../lib/data/jsonl.ts";
import { parseShard, partOf, shardMarkIn, shardRecord, shareOf } from "../../lib/data/shards.ts";
import { InputError } from "../../lib/runtime/errors.ts";

test("a part and how many there are", () => {
  assert.deepEqual(parseShard("1/1"), { part: 1, of: 1 });
  assert.deepEqual(parseShard("12/40"), { part: 12, of: 40 });
  const wrong = [
    "3/2",
    "0/2",
    "a/b",
    "",
    "1",
    "1/2/3",
    "-1/2",
    "1/0",
    "01/2",
    "1/02",
    "1.5/2",
    " 1/2",
    "1/2\n",
  ];
  for (const text of [...wrong, "1/100000", "١/٢"]) assert.equal(parseShard(text), undefined, text);
});

test("blocks of 32 go round, and every record has one part", () => {
  assert.deepEqual([0, 31, 32, 63, 64, 95, 96].map((record) => partOf(record, 3)), [1, 1, 2, 2, 3, 3, 1]);
  for (const  of of[1, 2, 3, 7]) {
    const counts = new Array<number>(of).fill(0);
    for (let records = 0; records <= 500; records++) {
      const shares = counts.map((_, i) => shareOf({ part: i + 1, of }, records));
      assert.deepEqual(shares, counts, `${records} over ${of}`);
      counts[partOf(records, of) - 1]!++;
    }
  }
});

const mark = {
  part: 2,
  of: 2,
  records: 6,
  total: 38,
  digest: "ab",
  asked: [{ task: "generate", options: { seed: 0 } }],
};
const bytes = async function* (...values: unknown[]) {
  yield new TextEncoder().encode(values.map((value) => `${JSON.stringify(value)}\n`).join(""));
};

test("a mark is read as it was written, and nothing else is one", () => {
  assert.deepEqual(shardMarkIn(JSON.parse(JSON.stringify(shardRecord(mark)))), mark);
  const wrong: unknown[] = [
    null,
    [],
    "shard",
    { shard: null },
    { shard: "2/2" },
    { id: "q", shard: mark },
    { shard: { ...mark, part: 3 } },
    { shard: { ...mark, records: 7 } },
    { shard: { ...mark, total: -1 } },
    { shard: { ...mark, total: 1e300 } },
    { shard: { ...mark, digest: 1 } },
    { shard: { ...mark, asked: [] } },
    { shard: { ...mark, asked: [null] } },
    { shard: { ...mark, asked: [{ task: "generate" }] } },
    { shard: { ...mark, asked: "generate" } },
  ];
  for (const value of wrong) assert.equal(shardMarkIn(value), undefined, JSON.stringify(value));
});

test("a reader is told of a shard, or refuses it; nothing may stand behind its mark", async () => {
  const told: unknown[] = [], values: unknown[] = [];
  const shard = (found: unknown) => void told.push(found);
  for await (const { value } of readJsonl(bytes({ a: 1 }, shardRecord(mark)), { shard })) values.push(value);
  assert.deepEqual([values, told], [[{ a: 1 }], [mark]]);
  const read = async (options: object, ...all: unknown[]) => {
    for await (const _ of readJsonl(bytes(...all), { source: "x", ...options }));
  };
  await assert.rejects(read({}, { a: 1 }, shardRecord(mark)), (error: Error) => {
    assert.ok(error instanceof InputError);
    assert.equal(
      error.message,
      "Cannot read x: it is shard 2 of 2, 6 of 38 records: shards are to be merged first",
    );
    return true;
  });
  await assert.rejects(
    read({ shard }, shardRecord(mark), { a: 1 }),
    /^InputError: Cannot read line 2 of x: it stands behind the mark that ends shard 2 of 2$/,
  );
});
