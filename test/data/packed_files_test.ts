import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { filesOfSplit } from "../../lib/data/split_files.ts";
import { loadDataset } from "../../lib/data/load_dataset.ts";
import { readRows } from "../../lib/data/row_files.ts";
import { InputError } from "../../lib/runtime/errors.ts";
import { run } from "../_commands.ts";

/** The lines below, as `zstd -19` packs them. */
const zstandard = Uint8Array.from(
  atob(
    "KLUv/WQ+JQ0QAJbzYRqAJym0GDg04n+8w27CDC5Mdnf3TmcYMWBSJ3AAUgBRAHdmVkY2Jha2acGurKqopqSiLivUkVER0ZBQ0CQFurGpoZmRiXmcMCcmJSQjIiGLEuTCooJiQiLiMELcdk3PcvwePs2SHMVwNXhWRDMiEa8FEhiEQcGAAAMHJDgQwACAQUAwKBgcGECAAhIYMADBAIGkZCBvtLFGGmeUMcZHxzCeaGKJJI4oYoiLikG80MIKKZxQwggPDUN4a1tLOysb+7phT01LSUdFQ1c16AUtWEEKTlCCETxoMATv7Oro5uTiPi8EcYjv7evp5+Xjfz/8uXk5+bh4+K4Hv7CFK0zhCUs4wocNh/CddtZJ55xyxvnpGc4zzSyTzDHFDHNTM5hXWlkllVNKGeWlZSiPNLJIIocUMsgDd9tdN91zyx33t3e4zza7bLLHFjvsbe1gX2111VRPLXXU19ahPtroookeWuigp6UDfbPNNdM8s8wxPzuH+WSTSyZ5ZJFDXlYO8sUWV0zxxBL/sQGBM6gRUEx+/zexKyqcAxG8QoAQIAzh9wcAICAiEZAQMAghRWDndABIJCAhoBBQEBgIFBAKKKmVNEH/Z2L+ykRu0rauaVrXtU3rutZpbdc6rfVaqzWPPzEV/geT789LdxsscCVgAUAAAAIAEAAAAQAIoAGAxZpWAd8ueR0=",
  ),
  (char) => char.charCodeAt(0),
);
const lines = Array.from({ length: 300 }, (_, i) => `{"question":"q${i}","answer":"${i % 7}"}\n`).join("");
const rows = lines.trimEnd().split("\n").map((line) => JSON.parse(line));

async function withFile<T>(name: string, content: Uint8Array, use: (path: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "packed-"));
  try {
    await writeFile(join(folder, name), content);
    return await use(join(folder, name));
  } finally {
    await rm(folder, { recursive: true });
  }
}

const valuesOf = (name: string, content: Uint8Array) =>
  withFile(name, content, async (path) => (await Array.fromAsync(readRows(path))).map(({ value }) => value));

const fails = (name: string, content: Uint8Array, pattern: RegExp) =>
  assert.rejects(valuesOf(name, content), (error: Error) => {
    assert.ok(error instanceof InputError, String(error.stack));
    assert.match(error.message, pattern);
    assert.ok(error.message.includes(name) && !error.message.includes("\n"), error.message);
    return true;
  });

const joined = (...parts: Uint8Array[]) => new Uint8Array(parts.flatMap((part) => [...part]));

test("the same rows from packed files as from plain ones, in one frame or several", async () => {
  const gzip = new Uint8Array(gzipSync(lines));
  assert.deepEqual(await valuesOf("a.jsonl.gz", gzip), rows);
  assert.deepEqual(await valuesOf("A.JSONL.GZ", joined(gzip, gzip)), [...rows, ...rows]);
  assert.deepEqual(await valuesOf("a.json.zst", zstandard), rows);
  // A frame to be skipped, as pzstd writes them.
  const skipped = new Uint8Array([0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9]);
  assert.deepEqual(await valuesOf("a.jsonl.zst", joined(skipped, zstandard, zstandard)), [...rows, ...rows]);
  assert.deepEqual(await valuesOf("a.csv.gz", gzipSync("question;answer\nq;2\n")), [{
    question: "q",
    answer: "2",
  }]);
  assert.deepEqual(await valuesOf("a.json.gz", gzipSync(JSON.stringify({ data: rows }))), rows);
});

test("a packed split of a directory is found, and ids do not name the packing", async () => {
  assert.deepEqual(filesOfSplit(["train.jsonl.gz", "test.json.zst", "notes.gz"], "train"), [
    "train.jsonl.gz",
  ]);
  const ids = await withFile("train.jsonl.gz", gzipSync(lines), async (path) => {
    const problems = loadDataset(`${join(path, "..")}:train`, { limit: 2 });
    return await Array.fromAsync(problems, ({ id }) => id);
  });
  assert.deepEqual(ids, ["line-1", "line-2"]);
  // Of a list, whatever lines it takes, records are counted: all on one line, all would be line-1.
  const listed = await withFile("a.json.gz", gzipSync(JSON.stringify(rows)), async (path) => {
    return await Array.fromAsync(loadDataset(path, { limit: 2 }), ({ id }) => id);
  });
  assert.deepEqual(listed, ["record-1", "record-2"]);
});

test("damaged, broken-off and falsely named archives are one line with the file's name", async () => {
  const gzip = new Uint8Array(gzipSync(lines));
  const flipped = (bytes: Uint8Array, at: number) => bytes.map((byte, i) => i === at ? byte ^ 0x10 : byte);
  await fails("a.jsonl.gz", gzip.slice(0, -20), /its gzip data is damaged or not whole: /);
  await fails("a.jsonl.gz", flipped(gzip, gzip.length - 6), /its gzip data is damaged or not whole: /);
  await fails(
    "a.jsonl.zst",
    zstandard.slice(0, -20),
    /Zstandard data is damaged or not whole: unexpected end/,
  );
  await fails("a.jsonl.zst", zstandard.slice(0, 5), /Zstandard data is damaged or not whole/);
  await fails("a.jsonl.zst", flipped(zstandard, zstandard.length - 2), /its check sum differs$/);
  await fails(
    "a.jsonl.zst",
    joined(zstandard, new Uint8Array([1, 2, 3, 4])),
    /other data where a frame must begin$/,
  );
  await fails("a.jsonl.gz", zstandard, /its name says that it holds gzip data: got something else$/);
  await fails("a.jsonl.zst", gzip, /its name says that it holds Zstandard data: got something else$/);
  await fails("a.jsonl.gz", new Uint8Array(), /it must hold gzip data: got an empty file$/);
  await fails("a.parquet.gz", gzip, /Parquet is read from its end: unpack the file first$/);
  await fails("a.txt.gz", gzip, /its name must end in .*: got \.txt$/);
  // A changed byte ends no process, and what is read all the same is right: some bits mean nothing.
  for (let at = 0; at < zstandard.length; at += 7) {
    const found = await valuesOf("a.jsonl.zst", flipped(zstandard, at)).catch((error) => {
      assert.ok(error instanceof InputError, String(error.stack));
    });
    if (found) assert.deepEqual(found, rows, String(at));
  }
});

test("an archive that unpacks to gigabytes takes no memory for it", async () => {
  // 8,000 blocks that each say 128 KiB of blanks: 1 GiB from 32 kB.
  const block = [0x02, 0x00, 0x10, 0x20], blocks = 8_000, head = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
  const bomb = new Uint8Array(head.length + 4 * blocks + 3);
  bomb.set(head);
  for (let i = 0; i < blocks; i++) bomb.set(block, head.length + 4 * i);
  bomb.set([1, 0, 0], head.length + 4 * blocks);
  const { bytes, peak } = await withFile("bomb.zst", bomb, (path) => {
    // In a process of its own: in one of many tests, what they left is counted too.
    const script = fileURLToPath(new URL("./_read_packed.ts", import.meta.url));
    const leading = "Deno" in globalThis ? ["run", "-A", "--no-check"] : [];
    const { stdout, stderr } = spawnSync(process.execPath, [...leading, script, path], { encoding: "utf8" });
    assert.equal(stderr, "");
    return Promise.resolve(JSON.parse(stdout) as { bytes: number; peak: number });
  });
  assert.equal(bytes, blocks * 128 * 1024);
  assert.ok(peak < 256 * 2 ** 20, `grew by ${peak} bytes`);
  // As one line it is refused as soon as it is too long.
  await fails("bomb.jsonl.zst", bomb, /it must have at least one record|a line must have at most/);
});

test("a command reads a packed file by --data and by --input, and names one that comes by a pipe", async () => {
  await withFile(
    "a.jsonl.gz",
    gzipSync('{"question":"q","answer":"2","candidates":["2"]}\n'),
    async (path) => {
      for (const flag of ["--data", "--input"]) {
        const { code, out, err } = await run("score", [flag, path, "--quiet"]);
        assert.equal(code, 0, err);
        assert.equal(JSON.parse(out).candidates[0].correct, true);
      }
    },
  );
  await withFile("a.jsonl", gzipSync(lines), async (path) => {
    const { code, err } = await run("score", ["--input", path]);
    assert.equal(code, 1);
    assert.match(err, /Cannot read line 1 of .*a\.jsonl: it must be UTF-8 text: got packed data/);
  });
});
