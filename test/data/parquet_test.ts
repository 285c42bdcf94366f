/** Parquet files that keep the library busy for ever, made from a whole one by one byte. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { parquetRows } from "../../lib/data/parquet.ts";
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

test("each byte changed: rows or one line, and never more than the time that is allowed", {
  timeout: 300_000,
}, async () => {
  const path = await wholeFile("mutant.parquet"), whole = readFileSync(path);
  for (let i = 4; i < whole.length; i += 41) {
    const bytes = Uint8Array.from(whole);
    bytes[i] = bytes[i]! ^ 0xff;
    writeFileSync(path, bytes);
    const started = performance.now();
    await Array.fromAsync(readRows(path)).catch((error) =>
      assert.match(error.message, /^Cannot read .*mutant/)
    );
    assert.ok(performance.now() - started < 30_000, `byte ${i}`);
  }
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

test("a file that hangs the library is refused by a command, in one line", async () => {
  const hanging = await hangingFile();
  const started = performance.now();
  const { code, out, err } = await run("score", ["--data", hanging]);
  assert.deepEqual([code, out], [1, ""]);
  // What the reader meets first, the time or the end of its memory, differs by runtime and by how busy the machine is.
  const head = `score: Cannot read record 1 of ${hanging}: it must be a whole Parquet file: `;
  assert.ok(err.startsWith(head), err);
  assert.match(err.slice(head.length), /^[^\n]+\n$/);
  assert.ok(performance.now() - started < 60_000);
});

/** Finds a byte whose change hangs the reader for a second. */
async function hangingFile(): Promise<string> {
  const path = await wholeFile("hanging.parquet"), whole = readFileSync(path);
  for (let i = 4; i < whole.length; i++) {
    for (const flip of [0xff, 0x80, 0x01]) {
      const bytes = Uint8Array.from(whole);
      bytes[i] = bytes[i]! ^ flip;
      writeFileSync(path, bytes);
      const late = AbortSignal.timeout(400);
      try {
        for await (const _ of parquetRows(path, bytes.length, late));
      } catch (error) {
        if ((error as Error).name === "TimeoutError") return path;
      }
    }
  }
  throw new Error("No byte hangs the library any more: it could be read without a thread");
}
