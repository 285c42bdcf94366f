import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { asSaid, at, base, inPairs, lines, records, run, write } from "../_commands.ts";

const wasm = ["--model", base, "--backend", "wasm", "--quiet"];
const problem = {
  id: "p",
  question: "Tom has 3 balls. He buys 5 more. How many balls does he have now?",
  reference: "3 + 5 = 8 balls.\n#### 8",
  answer: "8",
};
const group = {
  ...problem,
  candidates: [{ text: "3 + 5 = 8\n#### 8", correct: true }, { text: "3 + 5 = 9\n#### 9", correct: false }],
};

test("a line that is no record is named by its number and its file, and what was written is whole", async () => {
  const good = lines([group, { ...group, id: "p2" }]);
  const broken: [string, string, RegExp][] = [
    [
      "cut.jsonl",
      good + '{"id":"p3","question":"Ho',
      /line 3 of .*cut\.jsonl: .* breaks off after 25 characters/,
    ],
    ["text.jsonl", `${good}\nthree\n`, /line 4 of .*text\.jsonl: it must be one JSON value: .*three/],
    ["list.jsonl", `${good}[1]\n`, /record 3 of .*list\.jsonl: it must be an object: got a list/],
    ["latin.jsonl", "", /line 3 of .*latin\.jsonl: it must be UTF-8 text/],
  ];
  await inPairs(broken, async ([name, content, message]) => {
    const path = write(name, content);
    if (name === "latin.jsonl") {
      writeFileSync(path, Buffer.concat([Buffer.from(good), Buffer.from([0x7b, 0xe9, 0x7d, 0x0a])]));
    }
    const { code, out, err } = await run("score", ["--input", path, "--quiet"]);
    assert.equal(code, 1, name);
    assert.match(err, /^score: Cannot read [^\n]+\n$/);
    assert.match(err, message);
    // What came before it is written, whole, and why there is no more.
    const written = records(out), [cause] = err.split("\n");
    assert.deepEqual(written.pop(), { error: cause });
    assert.deepEqual(written.map(({ id, candidates }) => [id, candidates[0].answer]), [["p", "8"], [
      "p2",
      "8",
    ]]);
  });

  // generate holds several questions at once; those before the bad line must not be lost.
  const path = write("problems.jsonl", `${lines([problem, { ...problem, id: "p2" }])}{"id"\n`);
  const output = at("groups.jsonl");
  const generated = await run("generate", [
    ...wasm,
    ...["-k", "1", "--max-tokens", "4", "--input", path, "--output", output],
  ]);
  assert.equal(generated.code, 1);
  assert.match(
    generated.err,
    /^generate: Kept the 2 lines written so far in .*groups\.jsonl\.partial; --resume goes on with them\ngenerate: Cannot read line 3 of .*problems\.jsonl: [^\n]*\n$/,
  );
  assert.deepEqual(records(readFileSync(`${output}.partial`, "utf8")).map(({ id }) => id), ["p", "p2"]);
  assert.ok(!existsSync(output));
});

test("missing and mistyped fields are named", async () => {
  const cases: [string, unknown, string][] = [
    [
      "generate",
      { id: "a" },
      'field "question" is missing: got the field id; records are {question, reference, answer}, ' +
      "{problem, solution}, {query, response}, {instruction, input, output}, {prompt, completion}, " +
      "{prompt, completion, label}, {prompt, chosen, rejected}, {chosen, rejected}, {query, responses, scores}, " +
      "{messages}, {conversations}, {text}; --fields maps other names",
    ],
    ["generate", { ...problem, question: 5 }, 'field "question" must be a string: got 5'],
    ["generate", { ...problem, answer: true }, 'field "answer" must be a string: got true'],
    ["score", problem, "it must have candidates; `deno task generate` samples some"],
    [
      "score",
      { ...problem, candidates: [{ text: "#### 8" }, { txt: "" }] },
      'field "candidates[1].text" must be a string: got nothing',
    ],
    [
      "ca-align",
      { ...problem, candidates: [{ text: "8", correct: "yes" }] },
      'field "candidates[0].correct" must be true or false: got "yes"',
    ],
  ];
  await inPairs(cases, async ([task, record, message]) => {
    const args = task === "score" ? [] : task === "ca-align" ? [...wasm, "--out", at("f")] : wasm;
    const { code, out, err } = await run(task, args, { input: lines([record]) });
    assert.deepEqual({ code, out }, { code: 1, out: "" });
    assert.equal(err, asSaid(`${task}: Cannot read record 1 of standard input: ${message}\n`));
  });
  const unlabelled = { ...problem, candidates: [{ text: "#### 8" }, { text: "#### 9" }] };
  const trained = await run("ca-align", [...wasm, "--out", at("f")], { input: lines([unlabelled]) });
  assert.deepEqual([trained.code, trained.err], [
    1,
    asSaid(
      'ca-align: Cannot train aft on "p": every candidate must have "correct": got none of that; ' +
        "`deno task score` writes labels\n",
    ),
  ]);
  const { reference: _, ...bare } = problem;
  const chainless = await run("vft", [...wasm, "--out", at("f")], { input: lines([bare]) });
  assert.deepEqual([chainless.code, chainless.err], [
    1,
    'vft: Cannot train vft on "p": field "reference" is missing\n',
  ]);
  assert.ok(!existsSync(at("f")));
});

test("empty input is an error of every task that reads, and leaves nothing behind", async () => {
  const tasks: [string, string[]][] = [
    ["generate", wasm],
    ["score", []],
    ["evaluate", wasm],
    ["vft", [...wasm, "--out", at("e1")]],
    ["ca-align", [...wasm, "--out", at("e2")]],
  ];
  await inPairs(tasks, async ([task, args]) => {
    const { code, out, err } = await run(task, args, { input: "\n \n" });
    assert.deepEqual({ code, out, err }, {
      code: 1,
      out: "",
      err: `${task}: Cannot read standard input: it must have at least one record: got empty input\n`,
    });
  });
  assert.ok(!existsSync(at("e1")) && !existsSync(at("e2")));
});

test("a problem longer than the context is counted and told, or refused", async () => {
  const long = { ...problem, id: "long", question: "word ".repeat(300) };
  const input = lines([problem, long]);
  const results = await inPairs([
    ["vft", "skip"],
    ["vft", "refuse"],
    ["generate", "skip"],
    ["generate", "refuse"],
  ], ([task, tooLong]) => {
    const more = task === "vft"
      ? ["--steps", "1", "--out", at(`long-${tooLong}`)]
      : ["-k", "1", "--max-tokens", "4"];
    return run(task, [...wasm, ...more, "--too-long", tooLong], { input });
  });
  const [trained, refused, generated, notGenerated] = results;
  assert.equal(trained.code, 0, trained.err);
  assert.match(trained.err, /^vft: 1 .*exceeds? the context of 256 tokens\n$/);
  assert.equal(records(trained.out).length, 1);
  assert.deepEqual([refused.code, refused.out], [1, ""]);
  assert.match(refused.err, /^vft: Cannot train on "long": [^\n]* context of 256 tokens\n$/);
  assert.equal(generated.code, 0);
  assert.match(generated.err, /^generate: 1 [^\n]*context of 256 tokens[^\n]*\n$/);
  assert.deepEqual(records(generated.out).map((g) => [g.id, g.candidates.length]), [["p", 1], ["long", 0]]);
  assert.equal(notGenerated.code, 1);
  assert.match(
    notGenerated.err,
    /generate: Cannot generate for "long": its prompt has \d+ tokens [^\n]*256\n$/,
  );
  records(notGenerated.out);
});

test("groups without a positive or without a negative train by their references alone", async () => {
  const right = { ...group, id: "right", candidates: [group.candidates[0]] };
  const wrong = { ...group, id: "wrong", candidates: [group.candidates[1]] };
  const none = { ...group, id: "none", candidates: [] };
  const { reference: _, ...unreferenced } = wrong;
  const out = at("one-sided");
  const { code, out: text, err } = await run("ca-align", [
    ...wasm,
    ...["--constraint", "bc", "--steps", "2", "--log-every", "1", "--out", out],
  ], { input: lines([right, unreferenced, none]) });
  assert.equal(code, 0, err);
  for (const metrics of records(text)) {
    assert.equal(metrics.objective_loss, 0); // no question has both sides
    assert.ok(metrics.vft_loss > 0 && Number.isFinite(metrics.gradient_norm));
  }
  assert.ok(existsSync(join(out, "model.safetensors")));
});
