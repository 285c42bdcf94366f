/** A study shared out over jobs: the bytes of one, an end in the middle, what fails, who is heard. */
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { alone } from "../../lib/runtime/world.ts";
import { jobListener } from "../../lib/study/_job_listener.ts";
import { PathsTaken } from "../../lib/study/_paths_taken.ts";
import { study, UsageError } from "../../mod.ts";
import { run, send } from "../_commands.ts";

const folder = mkdtempSync(join(tmpdir(), "study-jobs-test-"));
after(() => rmSync(folder, { recursive: true }));

/** Two experiments of two seeds, which share models and candidates. */
const small = [
  ...["--quick", "--seeds", "2", "--only", "main,consistency", "--methods", "VFT,AFT"],
  ...["--data", "arithmetic"],
];
const two = [...small, "--backend", "wasm", "--threads", "2", "--jobs", "2"];

/** Every file of a study but those that say when or how fast, by its path. */
function filesOf(out: string): Map<string, string> {
  const names = readdirSync(out, { recursive: true, encoding: "utf8" }).sort();
  const told = names.filter((name) =>
    /\.(json|jsonl|md|html|csv|safetensors)$/.test(name) &&
    !/results\.json$|README\.md$|metrics\.jsonl$/.test(name)
  );
  return new Map(told.map((name) => [name, readFileSync(join(out, name), "latin1")]));
}

const outcomes = (out: string) =>
  JSON.stringify(JSON.parse(readFileSync(join(out, "results.json"), "utf8")).experiments);

const one = join(folder, "one");

test(
  "two jobs write what one writes, byte for byte, and say so on both streams",
  { timeout: 300_000 },
  async () => {
    const out = join(folder, "two");
    const first = await run("study", [
      ...small,
      "--backend",
      "wasm",
      "--threads",
      "1",
      "--jobs",
      "1",
      "--out",
      one,
    ]);
    assert.equal(first.code, 0, first.err);
    const second = await run("study", [...two, "--out", out]);
    assert.equal(second.code, 0, second.err);
    assert.equal(second.out, first.out);
    assert.match(second.out, /^Accuracy of greedy answers/);
    assert.equal(outcomes(out), outcomes(one));
    const files = filesOf(one), others = filesOf(out);
    assert.deepEqual([...others.keys()], [...files.keys()]);
    assert.ok([...files.keys()].filter((name) => name.endsWith("model.safetensors")).length >= 12);
    for (const [name, text] of files) assert.ok(others.get(name) === text, name);

    // Each piece once, every experiment in its order, what both jobs say once.
    const { err } = second;
    assert.match(err, /^2 jobs$/m);
    assert.equal(err.match(/^Backend: wasm, 1 thread, /gm)?.length, 1, err);
    const pieces = [...err.matchAll(/^(.+), seed (\d): made in \d+ s \((\d) of 8\)$/gm)];
    assert.deepEqual(pieces.map((piece) => piece[3]), ["1", "2", "3", "4", "5", "6", "7", "8"]);
    const parts = ["consistency", "consistency from the base", "main", "main from the base"];
    assert.deepEqual(
      pieces.map(([, part, seed]) => `${part} ${seed}`).sort(),
      parts.flatMap((part) => [`${part} 0`, `${part} 1`]).sort(),
    );
    assert.deepEqual(
      [...err.matchAll(/^Experiment (.*): done in \d+ s$/gm)].map((done) => done[1]),
      ["main from the base", "main", "consistency from the base", "consistency"],
    );
    assert.doesNotMatch(first.err, /^\d jobs$|seed \d: made/m);
  },
);

test("a study of two jobs that is interrupted goes on to the same bytes", { timeout: 300_000 }, async () => {
  const out = join(folder, "stopped");
  const stopped = await run("study", [...two, "--out", out], {
    onStart: (child) => {
      let said = "", interrupted = false;
      child.stderr!.on("data", (text) => {
        said += text;
        if (interrupted || !/-s1-vft-/.test(said)) return;
        interrupted = true;
        send(child, "SIGINT");
      });
    },
  });
  assert.equal(stopped.code, 130, stopped.err);
  assert.match(stopped.err, /study: Interrupted\n$/);
  assert.ok(!existsSync(join(out, "run.lock")));
  assert.ok(!existsSync(join(out, "results.json")));
  const again = await run("study", [...two, "--quiet", "--out", out]);
  assert.equal(again.code, 0, again.err);
  assert.equal(outcomes(out), outcomes(one));
});

test("what a job fails with ends the study by its line and exit code", { timeout: 300_000 }, async () => {
  const out = join(folder, "failed");
  cpSync(one, out, { recursive: true });
  const cells = join(out, "cells"), lost = readdirSync(cells).find((name) => /-s1-base-aft-bc-/.test(name))!;
  rmSync(join(cells, lost), { recursive: true });
  writeFileSync(join(cells, lost), "not a model");
  const failed = await run("study", [...two, "--quiet", "--out", out]);
  assert.equal(failed.code, 1);
  assert.equal(failed.out, "");
  assert.match(failed.err, new RegExp(`\\nstudy: Cannot .*${lost}: .*\\n$`));
  assert.ok(!existsSync(join(out, "run.lock")));
});

test("several jobs are refused on a GPU, beside other processes, and where they are no number", async () => {
  const out = join(folder, "refused");
  const gpu = await run("study", [...small, "--backend", "webgpu", "--jobs", "2", "--out", out]);
  assert.deepEqual([gpu.code, gpu.out], [2, ""]);
  assert.equal(
    gpu.err,
    "study: --jobs must be 1 where a GPU computes: got 2; --backend wasm takes the CPU\n",
  );
  const none = await run("study", ["--jobs", "0", "--out", out]);
  assert.deepEqual([none.code, none.err], [
    2,
    'study: Option --jobs must be an integer from 1 to 256: got "0"\n',
  ]);
  await assert.rejects(study({ out, jobs: 1.5 }), {
    name: "UsageError",
    message: "Option jobs must be a whole number of at least 1: got 1.5",
  });
  await assert.rejects(
    study({ out, jobs: 2, world: { ...alone, size: 4 } }),
    new UsageError("Option `jobs` must be 1 where 4 processes make every cell together: got 2"),
  );
  assert.ok(!existsSync(out));
});

test("a plan says how long so many jobs take", async () => {
  const { code, out, err } = await run("study", ["--plan", "--jobs", "4", "--difference", "1.5"]);
  assert.deepEqual([code, err], [0, ""]);
  assert.match(out, /^seeds {2}test problems +hours of one core {2}hours by 4 jobs$/m);
  const [, hours, elapsed] = out.match(/^ +12 +\d+ +([\d.]+) +([\d.]+)$/m)!;
  assert.ok(Math.abs(Number(hours) / 4 - Number(elapsed)) <= 0.07, out); // 12 seeds in three rounds
  const alone = await run("study", ["--plan", "--jobs", "1"]);
  assert.doesNotMatch(alone.out, /job/);
});

test("a path is one's who asked first, and then the next one's", () => {
  const taken = new PathsTaken(), had: string[] = [];
  const want = (who: string, path: string) =>
    taken.want(path, (first) => had.push(`${who} ${path}${first ? ", first" : ""}`));
  assert.deepEqual([want("a", "x"), want("b", "x"), want("c", "x"), want("b", "y")], [
    true,
    false,
    false,
    true,
  ]);
  assert.deepEqual(had, ["a x, first", "b y, first"]);
  taken.give("x");
  assert.deepEqual(had, ["a x, first", "b y, first", "b x"]);
  taken.give("x");
  taken.give("x");
  assert.deepEqual(had, ["a x, first", "b y, first", "b x", "c x"]);
  assert.equal(want("d", "x"), true);
  assert.equal(had.at(-1), "d x");
});

test("of several jobs one is followed until it is done or waits; a line is told once", () => {
  const parts: string[] = [], lines: string[] = [];
  const told = jobListener({
    progress: ({ part, done }) => parts.push(`${part} ${done}`),
    note: (line) => lines.push(line),
    warn: (line) => lines.push(line),
  });
  told.of(0, { part: "a", done: 1, total: 2 });
  told.of(1, { part: "b", done: 1, total: 2 });
  told.of(1, { part: "file", done: 5, total: 9, unit: "bytes" });
  told.of(0, { part: "a", done: 2, total: 2 });
  told.of(1, { part: "b", done: 2, total: 3 });
  told.of(0, { part: "c", done: 1, total: 2 });
  told.waits(0); // it is not followed
  told.of(0, { part: "c", done: 2, total: 4 });
  told.waits(1);
  told.of(0, { part: "c", done: 3, total: 4 });
  assert.deepEqual(parts, ["a 1", "file 5", "a 2", "b 2", "c 3"]);
  told.note?.("Backend: wasm");
  told.note?.("Backend: wasm");
  told.warn?.("short");
  told.warn?.("short");
  assert.deepEqual(lines, ["Backend: wasm", "short"]);
});
