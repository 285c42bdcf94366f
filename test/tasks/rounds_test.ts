import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseGroup } from "../../lib/data/records.ts";
import { score } from "../../lib/evaluate/score.ts";
import { loadModel } from "../../lib/model/load_model.ts";
import { assertClose } from "../_backends.ts";
import { collect, freshPath, writeSmallModel } from "../_models.ts";
import { toyProblems } from "../_toys.ts";

const task = fileURLToPath(new URL("../../tasks/align.ts", import.meta.url));

/** Runs `align` as a user would. */
function align(args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const leading = "Deno" in globalThis ? ["run", "-A", "--no-check"] : [];
  return new Promise((resolve) => {
    execFile(process.execPath, [...leading, task, ...args], (error, out, err) => {
      resolve({ code: typeof error?.code === "number" ? error.code : 0, out, err });
    });
  });
}

test("every round samples from the newest models, and its figures and candidates stay", async () => {
  const out = freshPath(), data = `${freshPath()}.jsonl`;
  writeFileSync(data, toyProblems(6).map((p) => JSON.stringify(p)).join("\n"));
  const model = await writeSmallModel({ context: 64 });
  const args =
    `--model ${model} --out ${out} --data ${data} --test-data ${data} --backend wasm --max-tokens 6 -k 2
    --votes 0 --start vft --epochs 1 --batch-size 3 --align-learning-rate 0.01 --constraints dc --quiet`
      .split(/\s+/);

  const one = await align(args);
  assert.equal(one.code, 0, one.err);
  const results = () => JSON.parse(readFileSync(join(out, "results.json"), "utf8")).rows;
  const first = results();
  assert.deepEqual(first.map((r: { name: string }) => r.name), ["vft", "control", "aft-dc"]);
  assert.deepEqual(first.map((r: { round: number }) => r.round), [0, 1, 1]);
  assert.equal(existsSync(join(out, "candidates-aft-dc-round-2.jsonl")), false);

  // A finished run can be given more rounds: what is there stays as it is.
  const before = statSync(join(out, "aft-dc", "model.safetensors")).mtimeMs;
  const three = await align([...args, "--rounds", "3", "--resume"]);
  assert.equal(three.code, 0, three.err);
  assert.equal(statSync(join(out, "aft-dc", "model.safetensors")).mtimeMs, before);
  const rows = results();
  assert.deepEqual(rows.slice(0, 3), first);
  assert.deepEqual(rows.map((r: { name: string; round: number }) => `${r.round} ${r.name}`).slice(3), [
    "2 control round 2",
    "2 aft-dc round 2",
    "3 control round 3",
    "3 aft-dc round 3",
  ]);
  assert.match(three.out, /aft-dc round 3/);
  assert.match(readFileSync(join(out, "report.html"), "utf8"), /aft-dc round 2/);

  // Round r's candidates carry the log-probs of round r − 1's model, which are another model's than round r − 2's.
  const logprobs = async (directory: string, file: string) => {
    const groups = readFileSync(join(out, file), "utf8").trim().split("\n").map((line, i) =>
      parseGroup(JSON.parse(line), { source: file, record: i + 1 })
    );
    const newest = await loadModel(join(out, directory), { backend: "wasm" });
    const scored = await collect(score(newest, groups));
    newest.dispose();
    const of = (all: typeof groups) => all.flatMap((g) => g.candidates.map((c) => c.logprob!));
    return { kept: of(groups), now: of(scored) };
  };
  for (
    const [directory, file] of [
      ["aft-dc", "candidates-aft-dc-round-2.jsonl"],
      ["aft-dc-round-2", "candidates-aft-dc-round-3.jsonl"],
    ]
  ) {
    const { kept, now } = await logprobs(directory, file);
    assert.equal(kept.length, 12);
    assertClose(kept, now, 1e-4, file);
    const { now: older } = await logprobs("vft", file);
    assert.ok(kept.some((x, i) => Math.abs(x - older[i]) > 1e-2), `${file}: the model has not changed`);
  }

  // Other options are another run.
  const other = await align([...args, "--temperature", "0.5", "--resume"]);
  assert.equal(other.code, 2);
  assert.match(other.err, /it was started with --temperature 1, not 0.5/);
});

test("the number of rounds is a positive integer", async () => {
  const { code, err } = await align(["--rounds", "0"]);
  assert.equal(code, 2);
  assert.match(err, /--rounds must be a positive integer: got "0"/);
});
