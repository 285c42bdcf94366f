/** Reference log-probs belong to a prompt and a model. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { at, base, inPairs, lines, records, run, write } from "../_commands.ts";

const wasm = ["--backend", "wasm", "--quiet"], from = ["--model", base, ...wasm];
const groups = ["a", "b"].map((id, i) => ({
  id,
  question: `Tom has ${i + 5} apples and buys 3 more. How many apples does he have?`,
  answer: `${i + 8}`,
  candidates: [{ text: `${i + 5} + 3 = ${i + 8}\n#### ${i + 8}` }, {
    text: `${i + 5} - 3 = ${i + 2}\n#### ${i + 2}`,
  }],
}));
const once = ["--steps", "1", "--log-every", "1"];

test("log-probs behind another prompt are refused where they are the reference, and told where they are not", async () => {
  const scored = at("other-template.jsonl");
  const made = await run("score", [...from, "--template", "Q {question} A", "--output", scored], {
    input: lines(groups),
  });
  assert.equal(made.code, 0, made.err);
  const [{ prompt_digest: digest }] = records(readFileSync(scored, "utf8"));
  const input = ["--model", base, "--backend", "wasm", "--input", scored, ...once];
  const [dpo, kto, same, aft] = await inPairs([
    [...input, "--objective", "dpo", "--out", at("r1")],
    [...input, "--objective", "kto", "--out", at("r2")],
    [...input, "--objective", "dpo", "--template", "Q {question} A", "--out", at("r3")],
    [...input, "--objective", "simpo", "--out", at("r4")],
  ], (args) => run("ca-align", args));
  for (const [name, { code, out, err }] of [["dpo", dpo], ["kto", kto]] as const) {
    assert.deepEqual([code, out], [1, ""]);
    const line = err.split("\n").find((line) => line.startsWith("ca-align: Cannot"))!;
    assert.match(
      line,
      new RegExp(
        `^ca-align: Cannot train ${name} on "a": its prompt differs from the one that its log-probs were made behind ` +
          `\\(prompt_digest ${digest} there, [0-9a-f]{16} here\\): train with the template, .* or score it anew`,
      ),
    );
  }
  assert.equal(same.code, 0, same.err);
  assert.equal(records(same.out)[0].loss, Math.LN2); // the model is its own reference before the first step
  assert.doesNotMatch(same.err, /another/);
  assert.equal(aft.code, 0, aft.err);
  assert.match(
    aft.err,
    /^ca-align: 2 of 2 records were scored behind another prompt than they are trained behind/m,
  );
});

test("another model's log-probs are told once, a record without digests is taken as it is", async () => {
  const scored = at("own.jsonl"),
    made = await run("score", [...from, "--output", scored], { input: lines(groups) });
  assert.equal(made.code, 0, made.err);
  const trained = at("moved"),
    input = write(
      "vft-data.jsonl",
      groups.map(({ candidates, ...rest }) => ({
        ...rest,
        reference: candidates[0]!.text,
      })),
    );
  const vft = await run("vft", [...from, "--input", input, ...once, "--out", trained]);
  assert.equal(vft.code, 0, vft.err);
  const old = write(
    "old.jsonl",
    records(readFileSync(scored, "utf8")).map(
      ({ prompt_digest: _, model_digest: __, ...rest }) => rest,
    ),
  );
  const dpo = (model: string, file: string, out: string) => [
    "--model",
    model,
    "--backend",
    "wasm",
    "--objective",
    "dpo",
    ...once,
    "--input",
    file,
    "--out",
    at(out),
  ];
  const [own, other, plain, lora] = await inPairs([
    dpo(base, scored, "m1"),
    dpo(trained, scored, "m2"),
    dpo(trained, old, "m3"),
    [...dpo(base, scored, "m4"), "--lora", "r=4"],
  ], (args) => run("ca-align", args));
  for (const { code, err } of [own, other, plain, lora]) assert.equal(code, 0, err);
  const told = other.err.match(
    /^ca-align: The reference log-probs of 2 records were made by another model .*$/gm,
  );
  assert.equal(told?.length, 1, other.err);
  for (const { err } of [own, plain, lora]) assert.doesNotMatch(err, /another model/);
  assert.equal(records(lora.out)[0].loss, Math.LN2);
});

test("KTO and DPO without reference log-probs take those of the model before training, as score writes them", async () => {
  const input = lines(groups.map((group) => ({
    ...group,
    candidates: group.candidates.map((candidate, i) => ({ ...candidate, correct: i === 0 })),
  })));
  const scored = await run("score", from, { input });
  for (const objective of ["kto", "dpo"]) {
    const losses: number[][] = [];
    for (const [name, records] of [["bare", input], ["scored", scored.out]] as const) {
      const { code, out, err } = await run(
        "ca-align",
        [
          ...["--model", base, "--backend", "wasm", "--steps", "2", "--log-every", "1"],
          ...["--objective", objective, "--out", at(`${name}-${objective}`)],
        ],
        { input: records },
      );
      assert.equal(code, 0, err);
      const told = "Records without reference log-probs get those of the model as it is before training\n";
      assert.equal(err.split(told).length - 1, name === "bare" ? 1 : 0, "said once, where it is so");
      losses.push(out.trim().split("\n").map((line) => JSON.parse(line).loss));
    }
    assert.equal(losses[0]!.length, 2);
    assert.deepEqual(losses[0], losses[1]);
    // At the first step the model is its own reference: ln 2, and for KTO 1 − σ(0).
    const start = objective === "dpo" ? Math.LN2 : 0.5;
    assert.ok(Math.abs(losses[0]![0]! - start) < 1e-5, `${objective} ${losses[0]}`);
  }
});
