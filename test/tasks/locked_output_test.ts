/** One run a file of records: the second on the same --output is refused, and a killed one locks nothing. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { lockFile } from "../../lib/runtime/run_lock.ts";
import { at, base, inPairs, run, send, write } from "../_commands.ts";

const wasm = ["--model", base, "--backend", "wasm", "--quiet"];
const problems = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ id: `p-${i}`, question: `${i} + 5?`, answer: `${i + 5}` }));
const asked = write("locked-problems.jsonl", problems(4));
const candidates = write(
  "locked-groups.jsonl",
  problems(4).map((problem) => ({
    ...problem,
    reference: `#### ${problem.answer}`,
    candidates: [{ text: "#### 5" }, { text: "#### 6" }],
  })),
);
const hidden = () => readdirSync(at(".")).filter((name) => name.endsWith(".aft-lock"));

test("whatever writes records to a file refuses one that another run writes, whether it replaces or goes on", async () => {
  const shard = at("locked-shard.jsonl");
  const made = await run("generate", [
    ...[...wasm, "-k", "1", "--max-tokens", "2", "--input", asked],
    ...["--shard", "1/1", "--output", shard],
  ]);
  assert.equal(made.code, 0, made.err);
  const commands: [task: string, args: string[]][] = [
    ["generate", [...wasm, "-k", "1", "--max-tokens", "2", "--input", asked]],
    ["score", ["--quiet", "--rank", "steps", "--input", candidates]],
    ["evaluate", [...wasm, "--max-tokens", "2", "--input", asked]],
    ["vft", [...wasm, "--data", "arithmetic", "--limit", "4", "--steps", "1", "--out", at("locked-model")]],
    ["merge-shards", [shard]],
    ["data", ["arithmetic", "--limit", "2"]],
  ];
  await inPairs(commands, async ([task, args]) => {
    const output = at(`locked-${task}.jsonl`), written = at(`.locked-${task}.jsonl.aft-lock`);
    const resumes = ["generate", "score", "evaluate", "vft"].includes(task);
    writeFileSync(output, "what the first run is at\n");
    {
      await using _held = await lockFile(output);
      for (const more of [[], ["--overwrite"], ...resumes ? [["--resume"]] : []]) {
        const { code, out, err } = await run(task, [...args, "--output", output, ...more]);
        const line =
          /^[\w-]+: Cannot write \S+\.jsonl: another run writes there \(process \d+ on [^\s)]+\)\n$/;
        assert.deepEqual([code, out], [2, ""], `${task} ${more}: ${err}`);
        assert.match(err, line);
      }
      assert.equal(readFileSync(output, "utf8"), "what the first run is at\n");
      assert.ok(existsSync(written));
    }
    assert.ok(!existsSync(written));
    const replaced = await run(task, [...args, "--output", output, "--overwrite"]);
    assert.equal(replaced.code, 0, replaced.err);
    assert.ok(!existsSync(written) && !readFileSync(output, "utf8").includes("first run"));
  });
});

test("a killed run's output is taken up; one that fails or is interrupted leaves no lock", async () => {
  const output = at("locked-killed.jsonl");
  const words = [...wasm, "-k", "4", "--max-tokens", "32", "--slots", "1", "--data", "arithmetic"];
  const long = [...words, "--limit", "1000000", "--output", output];
  const written = () => existsSync(`${output}.partial`) ? readFileSync(`${output}.partial`).length : 0;
  const beginning = (signal: "SIGKILL" | "SIGTERM", ...more: string[]) =>
    run("generate", [...long, ...more], {
      onStart(child) {
        const before = written();
        const timer = setInterval(() => {
          if (written() <= before) return;
          clearInterval(timer);
          send(child, signal);
        }, 50);
        child.on("close", () => clearInterval(timer));
      },
    });
  assert.equal((await beginning("SIGKILL")).code, null);
  assert.deepEqual(hidden(), [".locked-killed.jsonl.aft-lock"]);
  const interrupted = await beginning("SIGTERM", "--resume");
  assert.equal(interrupted.code, 130, interrupted.err);
  assert.match(interrupted.err, /Kept the \d+ lines? written so far in \S+locked-killed\.jsonl\.partial/);
  assert.deepEqual(hidden(), []);
  const failed = await run("score", ["--quiet", "--rank", "steps", "--output", at("locked-failed.jsonl")], {
    input: "no JSON\n",
  });
  assert.equal(failed.code, 1, failed.err);
  assert.deepEqual(hidden(), []);
});
