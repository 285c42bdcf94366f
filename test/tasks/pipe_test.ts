import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, base, inPairs, lines, records, run, shell, write } from "../_commands.ts";

const wasm = ["--model", base, "--backend", "wasm"];

/** Twelve problems, in no order, with fields that nothing here knows, in an order of their own. */
const problems = Array.from({ length: 12 }, (_, n) => {
  const i = (n * 5) % 12, a = i + 3;
  return {
    difficulty: i / 10,
    id: `p-${i}`,
    tags: ["x", { i }],
    question: `Tom has ${a} balls. He buys 5 more and sells 3. How many balls does he have now?`,
    reference: `${a} + 5 = ${a + 5} balls. ${a + 5} - 3 = ${a + 2} balls.\n#### ${a + 2}`,
    answer: `${a + 2}`,
    ünïcode: "‘…’ 🦆",
  };
});

test("problems through generate, score and ca-align, as the README pipes them", async () => {
  const input = write("problems.jsonl", problems), out = at("aft"), model = wasm.join(" ");
  const generated = at("generated.jsonl"), scored = at("scored.jsonl");
  const { code, out: text, err } = await shell(
    `cat ${input} | @generate ${model} -k 2 --max-tokens 24 | tee ${generated} | @score ${model} | tee ${scored} ` +
      `| @ca-align ${model} --constraint bc --steps 2 --log-every 1 --batch-size 6 --out ${out}`,
  );
  assert.equal(code, 0, err);

  // Every field of a problem comes through, in its place and with its value; what is new comes behind.
  const groups = records(readFileSync(generated, "utf8")), labelled = records(readFileSync(scored, "utf8"));
  assert.equal(groups.length, 12);
  groups.forEach((group, i) => {
    const { candidates, ...rest } = group;
    assert.equal(JSON.stringify(rest), JSON.stringify(problems[i]));
    assert.equal(Object.keys(group).at(-1), "candidates");
    assert.ok(candidates.length >= 1 && candidates.length <= 2);
    for (const candidate of candidates) {
      assert.deepEqual(Object.keys(candidate), ["text", "finish", "tokens"]);
    }
    const scoredGroup = labelled[i];
    assert.equal(
      JSON.stringify(Object.entries(scoredGroup).slice(0, 7)),
      JSON.stringify(Object.entries(rest)),
    );
    // deno-lint-ignore no-explicit-any
    scoredGroup.candidates.forEach((scored: any, c: number) => {
      assert.equal(scored.text, candidates[c].text);
      assert.equal(scored.correct, scored.answer === problems[i].answer);
      assert.ok(Math.abs(scored.score - scored.logprob / scored.tokens) < 1e-12 && scored.score < 0);
    });
  });

  // stdout is metrics and nothing else; the same lines are in the run's folder, beside a whole model.
  const metrics = records(text);
  assert.deepEqual(metrics.map((m) => [m.step, m.steps]), [[1, 2], [2, 2]]);
  assert.equal(text, readFileSync(join(out, "metrics.jsonl"), "utf8"));
  for (const name of ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"]) {
    assert.ok(existsSync(join(out, name)), name);
  }
  assert.ok(!existsSync(join(out, "checkpoints")));
  const { options } = JSON.parse(readFileSync(join(out, "run.json"), "utf8"));
  assert.deepEqual([options.constraint, options.steps, options.seed], ["bc", 2, 0]);

  // stderr has every task's notes, each on a line of its own.
  assert.match(err, /^generate 12(\/12)?(,.*)?$/m);
  assert.match(err, /^score: \d+ of \d+ candidates have no answer/m);
  assert.ok(err.endsWith(`Wrote ${out}\n`));
  assert.ok(!err.includes("\r") && !err.includes("\x1b")); // no bar where there is no terminal

  // Of groups: assessment accuracy of the new model on what the old one wrote; of problems: answers.
  const [ofGroups, ofProblems] = await inPairs([
    ["--scores-only", "--input", scored],
    ["--input", input, "--limit", "3", "--max-tokens", "8", "--votes", "2", "--details"],
  ], (args) => run("evaluate", ["--model", out, "--backend", "wasm", ...args]));
  assert.equal(ofGroups.code, 0, ofGroups.err);
  const [summary] = records(ofGroups.out);
  assert.equal(summary.questions, 12);
  assert.equal(summary.model, out);
  assert.ok(summary.perplexity > 1);
  assert.equal(summary.accuracy, undefined);
  const mixed =
    labelled.filter(({ candidates }) =>
      new Set(candidates.map((c: { correct: boolean }) => c.correct)).size === 2
    ).length;
  assert.equal(summary.mixed_questions, mixed);
  assert.match(ofGroups.err, /^model .*perplexity/m); // the table, for people
  assert.equal(ofProblems.code, 0, ofProblems.err);
  const lines = records(ofProblems.out);
  assert.deepEqual(lines.slice(0, 3).map((line) => line.id), problems.slice(0, 3).map(({ id }) => id));
  assert.equal(lines[3].questions, 3);
  assert.ok(lines[3].accuracy >= 0 && lines[3].majority_accuracy >= 0);
});

test("--system and --few-shot of a file make the prompt that one would write by hand", async () => {
  const solved = { question: "1 + 1?", answer: "1 + 1 = 2\n#### 2" }; // as GSM8K's own files have it
  const asked = { id: "a", question: "2 + 3?", answer: "5", candidates: [{ text: "2 + 3 = 5\n#### 5" }] };
  const prompt = "Add.\n\nQuestion: 1 + 1?\nAnswer: 1 + 1 = 2\n#### 2\n\nQuestion: 2 + 3?\nAnswer:";
  const shown = ["--system", "Add.", "--few-shot", write("solved.jsonl", [solved])];
  const cases: [string[], object][] = [[shown, asked], [[], { ...asked, prompt }], [[], asked]];
  const scored = await inPairs(cases, async ([more, group]) => {
    const { code, out, err } = await run("score", [...wasm, "--quiet", ...more], { input: lines([group]) });
    assert.equal(code, 0, err);
    return records(out)[0].candidates[0].logprob;
  });
  assert.ok(Number.isFinite(scored[0]));
  assert.equal(scored[0], scored[1]);
  assert.notEqual(scored[0], scored[2]);
  const unsolved = write("unsolved.jsonl", [{ id: "u", question: "1 + 1?" }]);
  const refused = await run("score", [...wasm, "--quiet", "--few-shot", unsolved], { input: lines([asked]) });
  assert.deepEqual([refused.code, refused.out], [1, ""]);
  assert.match(
    refused.err,
    /^score: .*problem "u" as an example: field "reference" must be a string: got nothing\n$/,
  );
});

test("the same seed gives the same bytes; another seed does not", async () => {
  const input = lines(problems.slice(0, 4));
  const [first, second, other] = await inPairs(
    ["7", "7", "8"],
    (seed) =>
      run("generate", [...wasm, "-k", "2", "--max-tokens", "12", "--quiet", "--seed", seed], { input }),
  );
  assert.equal(first.code, 0, first.err);
  assert.equal(first.err, "");
  assert.equal(second.out, first.out);
  assert.notEqual(other.out, first.out);
});

test("a reader that leaves after one line ends every task quietly with status 0", async () => {
  const scored = write(
    "head.jsonl",
    Array.from({ length: 12 }, (_, i) => ({
      ...problems[i],
      candidates: [{ text: "#### 1", correct: false }, { text: `#### ${problems[i].answer}`, correct: true }],
    })),
  );
  const commands = [
    `@generate ${wasm.join(" ")} --data arithmetic --limit 400 -k 2 --max-tokens 12 --slots 4`,
    `@score --input ${scored}`,
    `@evaluate ${wasm.join(" ")} --scores-only --details --input ${scored}`,
    `@vft ${wasm.join(" ")} --data arithmetic --steps 12 --log-every 1 --batch-size 1 --out ${at("h1")}`,
    `@ca-align ${wasm.join(" ")} --input ${scored} --steps 6 --log-every 1 --out ${at("h2")}`,
    "@doctor",
    "@align --help",
  ];
  const results = await inPairs(
    commands,
    (command) => shell(`${command} | head -1; exit \${PIPESTATUS[0]}`),
  );
  results.forEach(({ code, out, err }, i) => {
    assert.equal(code, 0, `${commands[i]}: ${err}`);
    assert.match(out, /^[^\n]+\n$/, commands[i]);
    assert.doesNotMatch(err, /closed|[Bb]roken|EPIPE|Error|^ +at /m, commands[i]);
  });
  // What is closed are the metrics, not the training.
  for (const [out, steps] of [["h1", 12], ["h2", 6]] as const) {
    assert.ok(existsSync(join(at(out), "config.json")));
    assert.equal(records(readFileSync(join(at(out), "metrics.jsonl"), "utf8")).length, steps);
  }
});
