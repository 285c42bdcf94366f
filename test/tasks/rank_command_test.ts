import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { withJudge } from "../feedback/_judge_server.ts";
import { freshPath, writeSmallModel } from "../_models.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

interface Result {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a task as a user would: under Deno by its name, with the permissions of deno.json. */
function run(
  task: string,
  args: readonly string[],
  options: { input?: string; env?: Record<string, string> } = {},
) {
  const leading = "Deno" in globalThis ? ["task", "-q", task] : [`tasks/${task.replaceAll("-", "_")}.ts`];
  const { OPENAI_API_KEY: _, ...environment } = process.env;
  const child = spawn(process.execPath, [...leading, ...args], {
    cwd: root,
    env: { ...environment, ...options.env },
    timeout: 60_000,
    killSignal: "SIGKILL",
  });
  let out = "", err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => out += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => err += text);
  child.stdin.on("error", () => {});
  child.stdin.end(options.input ?? "");
  return new Promise<Result>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out, err }));
  });
}

// deno-lint-ignore no-explicit-any
const records = (text: string): any[] => text.trim().split("\n").map((line) => JSON.parse(line));
const lines = (values: readonly unknown[]) => values.map((value) => JSON.stringify(value) + "\n").join("");
// deno-lint-ignore no-explicit-any
const ranks = (group: any) => group.candidates.map((c: any) => c.rank);

const question = "How many pens are 2 and 3 pens and 1 pen?";
const reference = "2 + 3 = <<2+3=5>>5\n5 + 1 = <<5+1=6>>6\n#### 6";
const chains = {
  id: "q",
  question,
  note: "kept",
  reference,
  answer: "6",
  candidates: [
    { text: "2 + 3 = <<2+3=5>>5\n#### 5" },
    { text: "3 + 1 = <<3+1=4>>4\n4 + 2 = <<4+2=6>>6\n#### 6" },
    { text: "1 + 5 = <<1+5=6>>6, with 3 + 2 = <<3+2=5>>5\n#### 6" },
    { text: "I do not know" },
  ],
};

test("score --rank steps, with labels and without a model", async () => {
  const { code, out, err } = await run("score", ["--rank", "steps", "--quiet"], { input: lines([chains]) });
  assert.equal(code, 0, err);
  const [group] = records(out);
  assert.deepEqual(ranks(group), [3, 2, 1, 4]);
  // F: 2·1/(1+2), 2·1/(2+2), 1, 0; reward (2·right + F)/3.
  // deno-lint-ignore no-explicit-any
  const rewards = group.candidates.map((c: any) => c.reward);
  [2 / 9, 2.5 / 3, 1, 0].forEach((reward, i) => assert.ok(Math.abs(rewards[i] - reward) < 1e-12));
  // deno-lint-ignore no-explicit-any
  assert.deepEqual(group.candidates.map((c: any) => c.correct), [false, true, true, false]);
  assert.equal(group.note, "kept");
  assert.equal(
    err,
    "score: 1 of 4 candidates have no answer that could be found: they count as wrong\n",
  );
});

const ecqa = fileURLToPath(
  new URL("../../../shared/data/ecqa/ecqa_ranked_explanations.jsonl", import.meta.url),
);
test(
  "score --rank ratings on rated explanations as they are published",
  { skip: !existsSync(ecqa) },
  async () => {
    const { code, out, err } = await run("score", ["--rank", "ratings", "--quiet", "--input", ecqa]);
    assert.equal(code, 0, err);
    assert.equal(err, "");
    const groups = records(out), published = records(readFileSync(ecqa, "utf8"));
    assert.equal(groups.length, 482);
    let candidates = 0;
    groups.forEach((group, g) => {
      const ratings: number[] = published[g].candidates.map((c: { score: number }) => c.score);
      assert.equal(group.id, published[g].id);
      const tiers = [...new Set(ratings)].sort((a, b) => b - a);
      assert.deepEqual(ranks(group), ratings.map((rating) => 1 + tiers.indexOf(rating)));
      assert.deepEqual(group.candidates.map((c: { reward: number }) => c.reward), ratings);
      for (const { text, correct } of group.candidates) {
        assert.ok(text.endsWith(`\nThe answer is ${group.answer}.`));
        assert.equal(correct, true);
        candidates++;
      }
    });
    assert.equal(candidates, 1864);
  },
);

test("{query, responses, scores} is ranked too", async () => {
  const input = lines([{ query: "2+2", responses: ["4", "5", "four"], scores: [1, -1, 1] }]);
  const { out, code } = await run("score", ["--rank", "ratings", "--quiet"], { input });
  assert.equal(code, 0);
  assert.deepEqual(ranks(records(out)[0]), [1, 2, 1]);
});

test("nothing to rank by ends in one line, after the records were written", async () => {
  const { code, out, err } = await run("score", ["--rank", "ratings", "--quiet"], { input: lines([chains]) });
  assert.equal(code, 1);
  const [written, last] = records(out);
  assert.equal(written.candidates.length, 4);
  assert.deepEqual(last, { error: err.trimEnd().split("\n").at(-1) });
  assert.match(
    err,
    /^score: [^\n]*\nscore: Cannot rank by ratings: not one of 4 candidates has a rating \(field "reward", or [^\n]*\n$/,
  );
});

test("options of a judge are refused without one, and a judge without its options", async () => {
  const refused = async (args: readonly string[], message: string, env = {}) => {
    assert.deepEqual(await run("score", args, { env }), { code: 2, out: "", err: `score: ${message}\n` });
  };
  await refused(
    ["--rank", "steps", "--judge-timeout", "9"],
    "Option --judge-timeout has no meaning without --rank judge",
  );
  await refused(
    ["--rank", "judge", "--judge-url", "http://h"],
    "Option --rank judge needs --judge-url and --judge-model",
  );
  await refused(
    ["--rank", "judge", "--judge-url", "h", "--judge-model", "m"],
    'Address of the judge must be an http or https URL: got "h"',
  );
  await refused(
    ["--rank", "judge", "--judge-url", "http://h", "--judge-model", "m", "--judge-key-env", "NO_SUCH_KEY"],
    "Environment variable NO_SUCH_KEY must hold the judge's key: it is not set",
  );
  await refused(
    ["--rank", "step"],
    'Option --rank must be ratings, steps or judge: got "step", did you mean steps?',
  );
});

test("score --rank judge: key sent and not shown, cost told, resumed after a failure without asking twice", async () => {
  const input = freshPath(), output = freshPath();
  writeFileSync(
    input,
    lines([1, 2, 3].map((i) => ({ ...chains, id: `q${i}`, question: `${question} (${i})` }))),
  );
  let broken = true;
  await withJudge(
    ({ material }) =>
      broken && material.question.endsWith("(3)")
        ? { status: 503, body: "overloaded sk-key" }
        : "[1, 5, 9, 1]",
    async ({ url, asked }) => {
      const judge = [
        "--rank",
        "judge",
        "--judge-url",
        url,
        "--judge-model",
        "m",
        "--judge-key-env",
        "JUDGE_KEY",
      ];
      const prices = ["--judge-price-input", "1.5", "--judge-price-output", "6"];
      const args = [...judge, ...prices, "--judge-retries", "0", "--judge-concurrency", "1"];
      const files = ["--input", input, "--output", output];
      const env = { JUDGE_KEY: "sk-key" };
      const first = await run("score", [...args, ...files], { env });
      assert.equal(first.code, 1);
      assert.equal(asked[0].authorization, "Bearer sk-key");
      assert.deepEqual(first.err.trim().split("\n").filter((line) => !/^score \d/.test(line)), [
        // 2 · (100 · 1.5 + 7 · 6) / 10⁶
        "Judge: 3 requests (1 failed), 0 answers from the cache, 200 prompt and 14 completion tokens, cost 0.0003840",
        `score: Kept the 2 lines written so far in ${output}.partial; --resume goes on with them`,
        `score: Cannot reach the judge at ${url}/chat/completions: HTTP 503: overloaded (key), in 1 try; what it ` +
        `answered so far is in ${output}.judge.jsonl`,
      ]);
      assert.deepEqual(
        records(readFileSync(`${output}.partial`, "utf8")).map(ranks),
        Array(2).fill([3, 2, 1, 3]),
      );

      broken = false;
      asked.length = 0;
      const again = await run("score", [...args, ...files], { env });
      assert.equal(again.code, 2);
      assert.match(again.err, /holds 2 lines .* --resume goes on with them, --overwrite begins anew/);
      const second = await run("score", [...args, ...files, "--overwrite"], { env });
      assert.equal(second.code, 0, second.err);
      assert.equal(asked.length, 1);
      assert.match(second.err, /Judge: 1 request, 2 answers from the cache, 100 prompt/);
      const written = readFileSync(output, "utf8");
      assert.deepEqual(records(written).map(({ id }) => id), ["q1", "q2", "q3"]);
      const shown = [written, readFileSync(`${output}.judge.jsonl`, "utf8"), first.err, second.err].join();
      assert.doesNotMatch(shown, /sk-key/);
      const plan = await run("score", [...args, "--dry-run"], { env });
      assert.equal(plan.code, 0);
      assert.doesNotMatch(plan.out, /sk-key/);
    },
  );
});

test("ranked and scored by a model, then trained on; the format that gives answers away is told", async () => {
  const model = await writeSmallModel({ context: 256 });
  const rated = Array.from({ length: 12 }, (_, n) => n + 4).map((i) => ({
    id: `q${i}`,
    question: `How many pens are ${i} and 3 pens?`,
    reference: `${i} + 3 = ${i + 3}\n#### ${i + 3}`,
    answer: `${i + 3}`,
    candidates: [
      { text: `3 + ${i} = ${i + 3}\n#### ${i + 3}`, reward: 5 },
      { text: `${i} + 2 = ${i + 2}\nA: ${i + 2}`, reward: 2 },
    ],
  }));
  const scored = await run("score", ["--model", model, "--backend", "wasm", "--rank", "ratings", "--quiet"], {
    input: lines(rated),
  });
  assert.equal(scored.code, 0, scored.err);
  const groups = records(scored.out);
  assert.deepEqual(groups.map(ranks), Array(12).fill([1, 2]));
  for (const { candidates } of groups) assert.ok(candidates.every((c: { score: number }) => c.score < 0));
  const trained = await run("ca-align", [
    ...["--model", model, "--backend", "wasm", "--objective", "aft-rank", "--steps", "1", "--quiet"],
    ...["--out", freshPath()],
  ], { input: scored.out });
  assert.equal(trained.code, 0, trained.err);
  assert.equal(records(trained.out).length, 1);
  // Each question: the reference and the first candidate, both better than the second.
  assert.match(
    trained.err,
    /^ca-align: The form of the answer alone orders 100% of 24 pairs .* "#### 0" is better than "A: 0" in 24 of 24; /m,
  );
});

test("a run in which no question has a pair is told so", async () => {
  const model = await writeSmallModel();
  const right = {
    id: "q",
    question: "2 + 3?",
    reference: "#### 5",
    candidates: [{ text: "5\n#### 5", correct: true }],
  };
  const { code, err } = await run("ca-align", [
    ...["--model", model, "--backend", "wasm", "--objective", "aft", "--steps", "60", "--quiet"],
    ...["--out", freshPath()],
  ], { input: lines([right]) });
  assert.equal(code, 0, err);
  assert.match(
    err,
    /^ca-align: 1 of 1 groups have no better and worse candidate: [^\n]*\nca-align: Step 60: no question has had both a better and a worse candidate for 59 steps: [^\n]*\n$/,
  );
});
