import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parquetWriteBuffer } from "hyparquet-writer";
import { readJsonArray } from "../../lib/data/json_array.ts";
import { readRows } from "../../lib/data/row_files.ts";
import { InputError } from "../../lib/runtime/errors.ts";

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of stream) all.push(item);
  return all;
}

/** Writes one file, reads its rows, removes it. */
async function rowsOf(name: string, content: string | Uint8Array | ArrayBuffer): Promise<unknown[]> {
  const folder = await mkdtemp(join(tmpdir(), "rows-"));
  try {
    await writeFile(join(folder, name), typeof content === "string" ? content : new Uint8Array(content));
    return (await collect(readRows(join(folder, name)))).map(({ value }) => value);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const fails = (name: string, content: string | Uint8Array | ArrayBuffer, pattern: RegExp) =>
  assert.rejects(rowsOf(name, content), (error: Error) => {
    assert.ok(error instanceof InputError, String(error.stack));
    assert.match(error.message, pattern);
    assert.ok(error.message.includes(name) && !error.message.includes("\n"), error.message);
    return true;
  });

const expected = [{ question: 'say "hi",\nplease', answer: "1" }, { question: "é]}", answer: "2" }];

test("the same rows from JSONL, JSON lists, JSONL named .json, and CSV", async () => {
  const lines = expected.map((row) => JSON.stringify(row)).join("\n");
  assert.deepEqual(await rowsOf("a.jsonl", lines), expected);
  assert.deepEqual(await rowsOf("a.json", lines), expected);
  assert.deepEqual(await rowsOf("a.json", JSON.stringify(expected)), expected);
  assert.deepEqual(await rowsOf("a.jsonl", "\ufeff" + JSON.stringify(expected, null, 4)), expected);
  assert.deepEqual(
    await rowsOf("a.csv", '\ufeffquestion,answer\r\n"say ""hi"",\nplease",1\r\n\r\né]},2'),
    expected,
  );
  assert.deepEqual(await rowsOf("a.tsv", "question\tanswer\né]}\t2\n"), [expected[1]]);
});

test("rows from Parquet, in several row groups, with lists and 64-bit integers", async () => {
  const content = parquetWriteBuffer({
    columnData: [
      { name: "question", data: Array.from({ length: 25 }, (_, i) => `Q${i}`), type: "STRING" },
      { name: "answer", data: Array.from({ length: 25 }, (_, i) => BigInt(i)), type: "INT64" },
    ],
    rowGroupSize: 10,
  });
  const rows = await rowsOf("a.parquet", content);
  assert.deepEqual(rows, Array.from({ length: 25 }, (_, i) => ({ question: `Q${i}`, answer: i })));
  const bytes = new Uint8Array(content);
  await fails("cut.parquet", bytes.slice(0, bytes.length - 20), /must be a whole Parquet file/);
  await fails("a.jsonl", bytes, /\.jsonl must hold JSON: got Parquet$/);
});

test("a file that is not what its ending says", async () => {
  await fails("a.parquet", '{"a":1}', /\.parquet must hold Parquet: got JSON$/);
  await fails("a.csv", '{"a":1}', /\.csv must hold CSV: got JSON$/);
  await fails("a.json", "<!DOCTYPE html><html>", /got a web page$/);
  await fails("a.jsonl", new Uint8Array([0x1f, 0x8b, 8, 0]), /got gzip data \(its name must end in \.gz\)$/);
  await fails("a.jsonl", "version https://git-lfs.github.com/spec/v1\n", /got a Git LFS pointer/);
  await fails("a.jsonl", new Uint8Array([1, 2, 0, 3]), /got binary data$/);
  await fails("a.jsonl", "question,answer\n1,2\n", /^Cannot read line 1 of .*one JSON value/);
  await fails("a.txt", "x", /must end in \.jsonl, .*: got \.txt$/);
  await fails("a.jsonl", "", /got an empty file$/);
  await fails("a.json", "[]", /got empty input$/);
  await fails("a.csv", "question,answer\n", /at least one record below its header$/);
  await fails("a.csv", 'question,answer\n1,2\n"open,3\n', /^Cannot read record 2 of /);
  await fails("a.csv", "question,answer\n1,2,3\n", /^Cannot read record 1 of /);
  await assert.rejects(collect(readRows("/nonexistent/a.jsonl")), InputError);
});

test("what stands before a fault is handed on", async () => {
  const folder = await mkdtemp(join(tmpdir(), "rows-"));
  const good = Array.from({ length: 50 }, (_, i) => i);
  const contents = {
    "a.csv": "n,m\n" + good.map((i) => `${i},x\n`).join("") + '"open,3\n',
    "b.csv": "n,m\n" + good.map((i) => `${i},x\n`).join("") + "1,2,3\n4,5\n",
    "c.json": "[" + good.map((i) => `{"n":"${i}"},`).join("") + '{"n"',
    "d.jsonl": good.map((i) => `{"n":"${i}"}\n`).join("") + '{"n"',
  };
  try {
    for (const [name, content] of Object.entries(contents)) {
      await writeFile(join(folder, name), content);
      const seen: unknown[] = [];
      await assert.rejects(async () => {
        for await (const { value } of readRows(join(folder, name))) seen.push((value as { n: unknown }).n);
      }, /^InputError: Cannot read (record|line) 51 of /);
      assert.deepEqual(seen, good.map(String), name);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a JSON list is the same however its bytes are cut", async () => {
  const value = [{ a: '"],[\\"', b: [1, { c: [] }] }, 2, "x,y", [], null, { "é": "🦆" }];
  for (const text of [JSON.stringify(value), "\ufeff \n" + JSON.stringify(value, null, 2) + "\n\n"]) {
    const bytes = new TextEncoder().encode(text);
    for (const size of [1, 2, 5, 1000]) {
      const pieces = async function* () {
        const buffer = new Uint8Array(size); // filled anew, as a file reader may do
        for (let at = 0; at < bytes.length; at += size) {
          const part = bytes.subarray(at, at + size);
          buffer.set(part);
          yield buffer.subarray(0, part.length);
        }
      };
      assert.deepEqual((await collect(readJsonArray(pieces()))).map((row) => row.value), value);
    }
  }
  await fails("a.json", '[{"a":1},\n{"a":2}', /^Cannot read record 2 of .*\(line 2\): the list breaks off/);
  await fails("a.json", '[{"a":1},]', /^Cannot read record 2 of .* a comma must stand between two records/);
  await fails("a.json", '[{"a":1}] {"a":2}', /nothing must follow/);
  await fails("a.json", '[{"a" 1}]', /^Cannot read record 1 of .* one JSON value/);
});

test("an object around a list of records, wherever its bytes are", async () => {
  const rows = [{ question: "a]}", answer: "1" }, { question: 'b"[', answer: "2" }];
  for (const name of ["data", "examples", "train", "rows", "Records"]) {
    const around = { version: "1,[", meta: { data: [1] }, [name]: rows, more: [{ x: "]" }] };
    for (const text of [JSON.stringify(around), JSON.stringify(around, null, 2) + "\n"]) {
      assert.deepEqual(await rowsOf("a.json", text), rows, text);
      assert.deepEqual(await rowsOf("a.jsonl", "\ufeff" + text), rows);
    }
  }
  // A list that begins behind the first piece that is read, and its lines.
  const far = `{\n"about": ${
    JSON.stringify("x[".repeat(200_000))
  },\n"data": [\n{"question":"q"},\n{"question" 1}]}`;
  await fails("a.json", far, /^Cannot read record 2 of .*\(line 5\): it must be one JSON value/);
  // Records of one line each stay what they are, also with a list of their own.
  const own = [{ question: "q", data: [1, 2] }, { question: "r", data: [] }];
  assert.deepEqual(await rowsOf("a.json", own.map((row) => JSON.stringify(row)).join("\n")), own);
  assert.deepEqual(await rowsOf("a.json", JSON.stringify(own[0])), [own[0]]);
});

test("objects that are neither a record nor around a list are named for what they are", async () => {
  const pretty = JSON.stringify({ question: "q", answer: "2" }, null, 2);
  const tall =
    /records that are written over several lines each .*read are one record a line, a list of records/;
  await fails("a.jsonl", `${pretty}\n${pretty}\n`, tall);
  await fails("a.json", pretty, tall);
  await fails(
    "a.json",
    '{"train":[{"a":1}],"test":[{"a":2}]}',
    /several lists, "train" and "test"; read are/,
  );
  await fails(
    "a.json",
    '{\n"version": 1,\n"things": [1]}',
    /holds one JSON object, of version, things; read/,
  );
  await fails("a.json", '{\n"version": 1,\n"thi', /an? JSON object that breaks off before its end/);
  await fails("a.json", '{"data":[]}', /got empty input$/);
  await fails(
    "a.jsonl",
    '{"question":"q"},\n{"question":"r"}\n',
    /line 1 of .*it ends in a comma, as in a JSON list/,
  );
  await fails("a.jsonl", "{'question':'q'}\n", /single quotes, as Python prints/);
});

test("CSV by the sign that its header shows, whatever is in the rows", async () => {
  const row = [{ question: "1;2\t3,4|5", answer: "2" }];
  const quoted = '"1;2\t3,4|5"';
  for (
    const [name, sign] of [["a.csv", ";"], ["a.csv", "\t"], ["a.csv", "|"], ["a.tsv", "\t"], ["a.tsv", ","]]
  ) {
    assert.deepEqual(await rowsOf(name!, `question${sign}answer\r\n${quoted}${sign}2\r\n`), row, sign);
  }
  // Other signs in the header do not decide where one makes known names, nor more of them inside quotes.
  assert.deepEqual(await rowsOf("a.csv", '"a;b;c",question,answer\n1,q,2\n'), [
    { "a;b;c": "1", question: "q", answer: "2" },
  ]);
  assert.deepEqual(await rowsOf("a.csv", "a;b;c,question,answer\n1,q,2\n"), [
    { "a;b;c": "1", question: "q", answer: "2" },
  ]);
  await fails(
    "a.csv",
    "question;answer;Question;answer\n1;2;3;4\n",
    /its header names the column "answer" twice$/,
  );
  await fails("a.csv", "question;answer\n1;2;3\n", /^Cannot read record 1 of /);
});

test("a table of thousands of columns is read; one of more than a spreadsheet has is refused by their number", async () => {
  const table = (columns: number) => {
    const names = Array.from({ length: columns }, (_, i) => `c${i}`).join(",");
    return `${names}\n${names}\n`;
  };
  const [record] = await rowsOf("wide.csv", table(16_384)) as Record<string, string>[];
  assert.deepEqual([Object.keys(record!).length, record!.c16383], [16_384, "c16383"]);
  await fails(
    "wider.csv",
    table(16_385),
    /^Cannot read \S+wider\.csv: its header must have at most 16384 columns: got 16385$/,
  );
});
