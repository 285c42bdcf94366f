import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { InputError } from "../../lib/runtime/errors.ts";
import {
  environmentVariable,
  machine,
  peakResidentBytes,
  residentBytes,
  runtime,
} from "../../lib/runtime/environment.ts";
import {
  exists,
  isDirectory,
  listDirectory,
  makeDirectory,
  openAppend,
  openFile,
  readBytes,
  readJson,
  readText,
  remove,
  writeAtomic,
  writeJson,
  writeText,
} from "../../lib/runtime/files.ts";
import { openSpool } from "../../lib/runtime/spool.ts";
import { watchInterrupts } from "../../lib/runtime/signals.ts";

const folder = mkdtempSync(join(tmpdir(), "runtime-test-"));
after(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

function fails(promise: Promise<unknown>, message: string): Promise<void> {
  return assert.rejects(promise, (error: Error) => {
    assert.ok(error instanceof InputError, `${error}`);
    assert.equal(error.message, message);
    return true;
  });
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return new Uint8Array(await new Blob(all as BlobPart[]).arrayBuffer());
}

test("readBytes gives the whole file, in chunks that stay valid", async () => {
  const bytes = new Uint8Array(600_000).map((_, i) => i % 251);
  writeFileSync(at("large"), bytes);
  assert.deepEqual(await collect(readBytes(at("large"))), bytes);
  writeFileSync(at("empty"), "");
  assert.equal((await collect(readBytes(at("empty")))).length, 0);
});

test("openFile reads any range and refuses one past the end", async () => {
  writeFileSync(at("digits"), "0123456789");
  await using file = await openFile(at("digits"));
  assert.equal(file.size, 10);
  assert.equal(new TextDecoder().decode(await file.read(3, 4)), "3456");
  const target = new Uint8Array(3);
  await file.readInto(7, target);
  assert.equal(new TextDecoder().decode(target), "789");
  assert.equal((await file.read(10, 0)).length, 0);
  await fails(
    file.read(8, 5),
    `Cannot read ${at("digits")}: expected 5 bytes at byte 8, the file ends at byte 10`,
  );
});

test("what cannot be read is named in one line", async () => {
  const missing = `Cannot read ${at("none")}: no such file or directory`;
  await fails(openFile(at("none")), missing);
  await fails(collect(readBytes(at("none"))), missing);
  await fails(readText(at("none")), missing);
  await fails(readJson(at("none")), missing);
  await fails(openFile(folder), `Cannot read ${folder}: it is a directory`);
  await fails(listDirectory(at("none")), `Cannot list directory ${at("none")}: no such file or directory`);
  writeFileSync(at("latin1"), new Uint8Array([0x63, 0x61, 0x66, 0xe9]));
  await fails(readText(at("latin1")), `Cannot read ${at("latin1")}: expected UTF-8 text`);
  writeFileSync(at("half.json"), '{"a": [1,\n');
  await assert.rejects(readJson(at("half.json")), (error: Error) => {
    assert.ok(error instanceof InputError);
    assert.ok(error.message.startsWith(`Cannot read ${at("half.json")}: expected JSON: `), error.message);
    assert.ok(!error.message.includes("\n"));
    return true;
  });
});

test("writeAtomic joins small and large pieces in order, and leaves no temporary file", async () => {
  const large = "x".repeat(200_000);
  await writeAtomic(at("out"), async (sink) => {
    const reused = new Uint8Array([97]);
    await sink.write(reused);
    reused[0] = 98;
    await sink.write(reused);
    await sink.write(large);
    await sink.write("é\n");
  });
  assert.equal(readFileSync(at("out"), "utf8"), `ab${large}é\n`);
  assert.deepEqual(readdirSync(folder).filter((name) => name.endsWith(".tmp")), []);
});

test("writeAtomic keeps the old file when the writer throws, and shows nothing before the end", async () => {
  await writeText(at("kept"), "old");
  const failure = writeAtomic(at("kept"), async (sink) => {
    await sink.write("n".repeat(100_000));
    assert.equal(readFileSync(at("kept"), "utf8"), "old");
    throw new Error("in the middle");
  });
  await assert.rejects(failure, /in the middle/);
  assert.equal(readFileSync(at("kept"), "utf8"), "old");
  assert.deepEqual(readdirSync(folder).filter((name) => name.endsWith(".tmp")), []);
  await fails(
    writeText(at("none/file"), ""),
    `Cannot write ${at("none/file")}: no such file or directory`,
  );
});

test("writeJson and readJson are inverse", async () => {
  const value = { text: "Ω\n", numbers: [1, 0.1], nothing: null };
  await writeJson(at("value.json"), value);
  assert.deepEqual(await readJson(at("value.json")), value);
  assert.ok(readFileSync(at("value.json"), "utf8").endsWith("}\n"));
});

test("openAppend shows every line at once and continues a file", async () => {
  const first = await openAppend(at("metrics.jsonl"));
  await first.write("1\n");
  assert.equal(readFileSync(at("metrics.jsonl"), "utf8"), "1\n");
  await first.close();
  {
    await using second = await openAppend(at("metrics.jsonl"));
    await second.write("2\n");
  }
  assert.equal(readFileSync(at("metrics.jsonl"), "utf8"), "1\n2\n");
  await using third = await openAppend(at("metrics.jsonl"), { truncate: true });
  await third.write("3\n");
  assert.equal(readFileSync(at("metrics.jsonl"), "utf8"), "3\n");
});

test("a spool is read as often as needed, while it grows, and is removed", async () => {
  const usual = process.env.TMPDIR;
  process.env.TMPDIR = folder;
  const spool = await openSpool();
  if (usual === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = usual;
  const spools = () => readdirSync(folder).filter((name) => name.startsWith("spool-")).length;
  assert.equal(spools(), 1);
  for (let i = 0; i < 20_000; i++) await spool.write(`line ${i}\n`);
  const expected = Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`).join("");
  const decoder = new TextDecoder();
  assert.equal(decoder.decode(await collect(spool.read())), expected);
  await spool.write("more\n");
  assert.equal(decoder.decode(await collect(spool.read())), expected + "more\n");
  await spool.close();
  assert.equal(spools(), 0);
});

test("exists, isDirectory, listDirectory and remove", async () => {
  await makeDirectory(at("list"));
  await makeDirectory(at("list"));
  for (const name of ["b", "a", "B"]) writeFileSync(at(`list/${name}`), "");
  assert.deepEqual(await listDirectory(at("list")), ["B", "a", "b"]);
  assert.equal(await isDirectory(at("list")), true);
  assert.equal(await isDirectory(at("list/a")), false);
  await remove(at("list"));
  await remove(at("list"));
  assert.equal(await exists(at("list")), false);
});

test("the environment is the one we run in", () => {
  process.env.RUNTIME_TEST_EMPTY = "";
  process.env.RUNTIME_TEST_FULL = "1";
  assert.equal(environmentVariable("RUNTIME_TEST_EMPTY"), undefined);
  assert.equal(environmentVariable("RUNTIME_TEST_FULL"), "1");
  const expected = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";
  assert.equal(runtime().name, expected);
  assert.match(runtime().version, /^\d+\.\d+\.\d+/);
  const here = machine();
  assert.ok(Number.isInteger(here.cores) && here.cores >= 1);
  assert.ok(here.memoryAvailable > 0 && here.memoryAvailable <= here.memoryTotal);
});

test("peak memory counts what was given back", () => {
  let block: Uint8Array | undefined = new Uint8Array(100_000_000).fill(1);
  // How much came on top is not known: the block may lie where garbage lay.
  const resident = residentBytes(), peak = peakResidentBytes();
  assert.ok(resident > 100_000_000, `${resident}`);
  assert.ok(peak >= resident - 1_000_000, `${peak} ${resident}`);
  block = undefined;
  assert.equal(block, undefined);
  assert.ok(peakResidentBytes() >= peak);
});

test("SIGTERM aborts the signal with a reason", async () => {
  using watch = watchInterrupts();
  assert.equal(watch.signal.aborted, false);
  const aborted = new Promise((resolve) => watch.signal.addEventListener("abort", resolve, { once: true }));
  // Deno does not wait for a signal listener alone.
  const awake = setInterval(() => {}, 1000);
  process.kill(process.pid, "SIGTERM");
  await aborted;
  clearInterval(awake);
  assert.equal(watch.signal.reason.name, "InterruptedError");
});
