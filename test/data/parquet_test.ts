/** Parquet files over which the library loops for ever by itself, made from a whole one by one byte. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { readRows } from "../../lib/data/row_files.ts";
import { openBoundedWorker } from "../../lib/runtime/bounded_worker.ts";
import { at, run, write } from "../_commands.ts";

/** A whole file of 20 rows with a definition level each, as `hyparquet-writer` writes it. */
async function wholeFile(name: string): Promise<string> {
  const { parquetWriteBuffer } = await import("hyparquet-writer");
  const question = Array.from({ length: 20 }, (_, i) => `What is ${i} + ${i}?`);
  const answer = question.map((_, i) => i % 5 === 4 ? null : String(2 * i));
  const buffer = parquetWriteBuffer({
    columnData: [{ name: "question", data: question, type: "STRING" }, {
      name: "answer",
      data: answer,
      type: "STRING",
    }],
  });
  const path = write(name, "");
  writeFileSync(path, new Uint8Array(buffer));
  return path;
}

test("a whole file's rows come in order", async () => {
  const rows = await Array.fromAsync(readRows(await wholeFile("whole.parquet")));
  assert.equal(rows.length, 20);
  assert.deepEqual(rows[3], {
    value: { question: "What is 3 + 3?", answer: "6" },
    where: { source: at("whole.parquet"), record: 4 },
  });
});

test("each of many bytes changed: rows or one line, before the time that would end it", {
  timeout: 300_000,
}, async () => {
  const path = await wholeFile("mutant.parquet"), whole = readFileSync(path);
  for (let i = 4; i < whole.length; i += 17) {
    const bytes = Uint8Array.from(whole);
    bytes[i] = bytes[i]! ^ 0xff;
    writeFileSync(path, bytes);
    const started = performance.now();
    await Array.fromAsync(readRows(path)).catch((error) => {
      assert.match(error.message, /^Cannot read .*mutant/);
      assert.doesNotMatch(error.message, /no end of it/);
    });
    assert.ok(performance.now() - started < 30_000, `byte ${i}`);
  }
});

/** Bytes of the whole file that state a count or a place, what to change of them, and why they are refused. */
const endless: readonly (readonly [at: number, flip: number, reason: RegExp])[] = [
  [14, 0x80, /a length is missing or negative$/], // a page's header loses a length
  [239, 0xff, /a length is missing or negative$/],
  [244, 0xff, /not extensible|readonly property/], // a run of 2³⁰ values in a page of 20
];

test("counts and places that would keep the library busy for ever are refused at once, and nothing stays at work", async () => {
  const path = await wholeFile("endless.parquet"), whole = readFileSync(path);
  for (const [at, flip, reason] of endless) {
    writeFileSync(path, whole.with(at, whole[at]! ^ flip));
    await assert.rejects(Array.fromAsync(readRows(path)), { name: "InputError", message: reason });
  }
  const began = process.cpuUsage();
  await delay(1000);
  const { user, system } = process.cpuUsage(began);
  assert.ok(user + system < 500_000, `${(user + system) / 1000} ms of processor time in a second`);
});

test("a list of 2³¹ lengths takes no memory", async () => {
  const path = await wholeFile("lengths.parquet"), whole = readFileSync(path);
  const at = whole.indexOf(Uint8Array.of(0x19, 0x3c)) + 1; // the schema: a list of 3 elements
  assert.ok(at > 0);
  const long = Buffer.concat([
    whole.subarray(0, at),
    Uint8Array.of(0xfc, 0xff, 0xff, 0xff, 0xff, 0x07), // 2³¹ − 1 of them
    whole.subarray(at + 1),
  ]);
  long.writeUInt32LE(long.readUInt32LE(long.length - 8) + 5, long.length - 8);
  writeFileSync(path, long);
  await assert.rejects(Array.fromAsync(readRows(path)), { message: /a list of 2147483647 values, where/ });
});

test("a command refuses such a file in one line", async () => {
  const path = await wholeFile("refused.parquet"), whole = readFileSync(path);
  writeFileSync(path, whole.with(14, whole[14]! ^ 0x80));
  assert.deepEqual(await run("score", ["--data", path]), {
    code: 1,
    out: "",
    err:
      `score: Cannot read record 1 of ${path}: it must be a whole Parquet file: a length is missing or negative\n`,
  });
});

test("a thread that never answers is ended in time, and by a signal", async () => {
  const endless = new URL("./_endless_worker.ts", import.meta.url);
  {
    await using worker = openBoundedWorker(endless);
    assert.equal(await worker.call("echo", { milliseconds: 5000, overdue: () => "late" }), "echo");
    await assert.rejects(
      worker.call("spin", { milliseconds: 200, overdue: () => "No answer in 0.2 seconds" }),
      { name: "InputError", message: "No answer in 0.2 seconds" },
    );
  }
  await using worker = openBoundedWorker(endless);
  const signal = AbortSignal.timeout(200);
  const started = performance.now();
  await assert.rejects(
    worker.call("spin", { milliseconds: 60_000, overdue: () => "late", signal }),
    { name: "TimeoutError" },
  );
  assert.ok(performance.now() - started < 20_000);
});
