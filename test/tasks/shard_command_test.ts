/** Records done in shards and merged: the bytes of one run; shards that do not belong together are refused. */
import assert from "node:assert/strict";
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { at, base, inPairs, lines, records, run, write } from "../_commands.ts";

const wasm = ["--model", base, "--backend", "wasm", "--quiet"];
/** 70 records are three blocks, the last one short: over two shards 38 and 32, over four 32, 32, 6 and none. */
const groups = Array.from({ length: 70 }, (_, i) => ({
  id: `p-${i}`,
  question: `Tom has ${i + 3} balls. He buys ${1 + i % 7} more. How many balls does he have now?`,
  answer: `${i + 4 + i % 7}`,
  reference: `${i + 3} + ${1 + i % 7} = ${i + 4 + i % 7}\n#### ${i + 4 + i % 7}`,
  candidates: [
    { text: `so ${i + 5}\n#### ${i + 5}` },
    { text: `${i + 3} balls${" and more".repeat(i % 5)}\n#### ${i + 4 + i % 7}` },
  ],
  kept: { order: i },
}));
const input = write("sharded.jsonl", groups);
const small = ["-k", "2", "--max-tokens", "6"];

/** Runs a task for each part of `of`, each into a file. */
async function shards(
  name: string,
  of: number,
  { task, args }: { readonly task: string; readonly args: readonly string[] },
): Promise<string[]> {
  const parts = Array.from({ length: of }, (_, i) => i + 1);
  return await inPairs(parts, async (part) => {
    const path = at(`${name}.${part}.jsonl`);
    const done = await run(task, [...args, "--shard", `${part}/${of}`, "--output", path]);
    assert.equal(done.code, 0, done.err);
    return path;
  });
}

/** What one run without shards writes. */
async function whole(task: string, args: readonly string[]): Promise<string> {
  const done = await run(task, args);
  assert.equal(done.code, 0, done.err);
  return done.out;
}

const asked: [name: string, task: string, args: string[]][] = [
  ["groups", "generate", [...wasm, ...small, "--input", input]],
  ["scored", "score", [...wasm, "--micro-batch", "512", "--input", input]],
  ["voted", "score", ["--label", "majority", "--quiet", "--input", input]],
  ["detailed", "evaluate", [...wasm, "--max-tokens", "6", "--details", "--input", input]],
  ["summary", "evaluate", [...wasm, "--scores-only", "--input", input]],
];

for (const [name, task, args] of asked) {
  test(`${name}: shards of ${task} merged are the bytes of one run, for 1, 2 and 4 of them`, async () => {
    const expected = await whole(task, args);
    for (const of of name === "groups" ? [1, 2, 4] : [2]) {
      const paths = await shards(`${name}-${of}`, of, { task, args });
      // In any order.
      const merged = await run("merge-shards", [...paths.toReversed(), "--quiet"]);
      assert.deepEqual([merged.code, merged.out === expected], [0, true], merged.err);
    }
  });
}

test("blocks of 32 go round; the last line says which part it is, of what", async () => {
  const found = [1, 2, 3, 4].map((part) => records(readFileSync(at(`groups-4.${part}.jsonl`), "utf8")));
  const ids = found.map((lines) => lines.slice(0, -1).map(({ id }) => Number(id.slice(2))));
  const from = (start: number, end: number) => Array.from({ length: end - start }, (_, i) => start + i);
  assert.deepEqual(ids, [from(0, 32), from(32, 64), from(64, 70), []]);
  const mark = found[2]!.at(-1).shard;
  assert.deepEqual([mark.part, mark.of, mark.records, mark.total], [3, 4, 6, 70]);
  assert.deepEqual([mark.asked.length, mark.asked[0].task, mark.asked[0].options.samples], [
    1,
    "generate",
    2,
  ]);
  assert.deepEqual(["shard", "input", "output"].filter((name) => name in mark.asked[0].options), []);
  const empty = await run("generate", [...asked[0]![2], "--shard", "4/4"]);
  assert.match(
    empty.err,
    /^generate: Shard 4\/4 has no records: there are 70, and a shard takes 32 in a row$/m,
  );
});

test("a filter behind a shard writes a shard: the chain's bytes, to the last digit", async () => {
  const chained = await whole("score", [
    "--input",
    write("chain.jsonl", await whole("generate", asked[0]![2])),
    ...wasm,
  ]);
  const parts = await inPairs([1, 2], async (part) => {
    const path = at(`chained.${part}.jsonl`);
    const scored = await run("score", [...wasm, "--input", at(`groups-2.${part}.jsonl`), "--output", path]);
    assert.equal(scored.code, 0, scored.err);
    return path;
  });
  const merged = await run("merge-shards", parts);
  assert.equal(merged.code, 0, merged.err);
  assert.ok(merged.out === chained);
  // Who takes some of them alone is told; so is who reads them as a data set.
  const part = at("groups-2.1.jsonl");
  const limited = await run("score", ["--limit", "3", "--input", part, "--debug"]);
  assert.equal(records(limited.out).length, 3);
  assert.equal(limited.code, 0, limited.err);
  const noted = await run("evaluate", [...wasm.slice(0, -1), "--scores-only", "--input", part]);
  assert.match(noted.err, /^\S+groups-2\.1\.jsonl is shard 1\/2: 38 of 70 records$/m);
  const read = await run("data", [part]);
  assert.equal(read.code, 1);
  assert.match(
    read.err,
    /^data: Cannot read \S+groups-2\.1\.jsonl: it is shard 1 of 2, 38 of 70 records: shards are to be merged first\n$/,
  );
  const again = await run("score", ["--input", part, "--shard", "1/2"]);
  assert.equal(again.code, 1);
  assert.match(again.err, /^score: Cannot take shard 1\/2 of \S+: it is shard 1\/2 itself$/m);
});

test("a shard that was cut off goes on, at any line, and no other shard takes its place", async () => {
  const path = at("groups-2.2.jsonl"), bytes = readFileSync(path), part = at("cut.jsonl");
  const args = [...asked[0]![2], "--output", part];
  const dry = await run("generate", [...args, "--shard", "2/2", "--dry-run"]);
  const text = bytes.toString(), last = text.lastIndexOf("\n", text.length - 2) + 1;
  for (const cut of [text.indexOf("\n") + 9, last, last + 20]) {
    writeFileSync(`${part}.partial`, bytes.subarray(0, cut));
    writeFileSync(`${part}.partial.json`, dry.out);
    if (cut === last) {
      const other = await run("generate", [...args, "--shard", "1/2", "--resume"]);
      assert.equal(other.code, 2);
      assert.match(other.err, /it was begun with --shard 2\/2, not 1\/2\n$/);
      const early = await run("merge-shards", [at("groups-2.1.jsonl"), part]);
      assert.equal(early.code, 2);
      assert.match(
        early.err,
        /cut\.jsonl: no such file or directory: its run was cut off, and --resume goes on with it\n$/,
      );
    }
    const resumed = await run("generate", [...args, "--shard", "2/2", "--resume"]);
    assert.equal(resumed.code, 0, resumed.err);
    assert.ok(readFileSync(part).equals(bytes), `byte ${cut}`);
    assert.ok(!existsSync(`${part}.partial`));
    rmSync(part);
  }
});

test("shards that do not belong together are refused by name, before anything is written", async () => {
  const [one, two] = [1, 2].map((part) => at(`groups-2.${part}.jsonl`)) as [string, string];
  const text = readFileSync(two, "utf8"), all = text.split(/(?<=\n)/);
  const changed = (
    name: string,
    change: (mark: { asked: { options: Record<string, unknown> }[]; [field: string]: unknown }) => void,
  ) => {
    const mark = JSON.parse(all.at(-1)!);
    change(mark.shard);
    return write(name, all.slice(0, -1).join("") + lines([mark]));
  };
  const copy = at("groups-2.copy.jsonl");
  copyFileSync(one, copy);
  const cases: [paths: string[], line: RegExp][] = [
    [[two], /^merge-shards: Cannot merge: shard 1\/2 is missing\n$/],
    [
      [at("groups-4.3.jsonl"), at("groups-4.1.jsonl")],
      /^merge-shards: Cannot merge: shards 2\/4, 4\/4 are missing\n$/,
    ],
    [[one, two, copy], /groups-2\.copy\.jsonl: it is shard 1\/2, and so is \S+groups-2\.1\.jsonl\n$/],
    [
      [one, at("groups-4.2.jsonl")],
      /groups-4\.2\.jsonl: it is one of 4 shards, and \S+groups-2\.1\.jsonl one of 2\n$/,
    ],
    [[one, at("scored-2.2.jsonl")], /: it was made by score, and \S+groups-2\.1\.jsonl by generate\n$/],
    [[one, at("chained.2.jsonl")], /: it was made by generate and score, and \S+ by generate\n$/],
    [
      [one, changed("seed.jsonl", ({ asked }) => asked[0]!.options.seed = 7)],
      /seed\.jsonl: it was made with --seed 7, not 0, as \S+ was\n$/,
    ],
    [
      [one, changed("other.jsonl", (mark) => mark.digest = "00")],
      /other\.jsonl: it is a part of other records than \S+\n$/,
    ],
    [
      [one, input],
      /sharded\.jsonl: it does not end in a shard's mark: it was written without --shard, or cut off\n$/,
    ],
    [[one, write("cut-off.jsonl", text.slice(0, -3))], /cut-off\.jsonl: it does not end in a shard's mark/],
    [[one, write("nothing.jsonl", "")], /nothing\.jsonl: it does not end in a shard's mark/],
    [[one, at("groups-2.3.jsonl")], /groups-2\.3\.jsonl: no such file or directory: did you mean /],
  ];
  await inPairs([...cases.entries()], async ([i, [paths, line]]) => {
    const out = at(`never-${i}.jsonl`); // two run at a time
    const refused = await run("merge-shards", [...paths, "--output", out]);
    assert.deepEqual([refused.code, refused.out], [2, ""], refused.err);
    assert.match(refused.err, line);
    assert.ok(!existsSync(out));
  });
  // A mark that is right, behind lines that are not all there.
  for (const kept of [all.slice(1), [all[0]!, ...all]]) {
    const broken = await run("merge-shards", [one, write("lines.jsonl", kept.join(""))]);
    assert.equal(broken.code, 1);
    assert.match(
      broken.err,
      /^merge-shards: Cannot merge \S+lines\.jsonl: it must have 32 lines before its mark, and has another number of them\n$/m,
    );
  }
  const version = changed("version.jsonl", ({ asked }) => Object.assign(asked[0]!, { version: "0.0.9" }));
  const warned = await run("merge-shards", [one, version, "--quiet"]);
  assert.equal(warned.code, 0);
  assert.match(
    warned.err,
    /^merge-shards: \S+version\.jsonl was made by version 0\.0\.9 under .*: last digits may differ$/m,
  );
});

test("a part that there cannot be is refused", async () => {
  for (const shard of ["3/2", "0/2", "a/b"]) {
    const refused = await run("generate", [...wasm, "--input", input, "--shard", shard]);
    assert.deepEqual([refused.code, refused.out], [2, ""], shard);
    assert.equal(
      refused.err,
      `generate: Option --shard must be a part and how many there are, from 1/N to N/N: got "${shard}"\n`,
    );
  }
  assert.equal((await run("merge-shards", [])).err, "merge-shards: Missing FILE...: see --help\n");
});
