/** A checkpoint's state.json is input like any other: what is not the state of its folder is refused, and nothing changes. */
import assert from "node:assert/strict";
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { loadModel } from "../../lib/model/load_model.ts";
import { train } from "../../lib/train/trainer.ts";
import { freshPath, writeSmallModel } from "../_models.ts";

const records = [1, 2, 3, 4].map((n) => ({ id: `r${n}`, question: `${n} + 1?`, reference: `#### ${n + 1}` }));
const settings = { objective: "vft", steps: 4, saveEvery: 1, batchSize: 2, logEvery: 1 } as const;

/** A run of 4 steps that was stopped after its third. */
async function stoppedRun(model: string): Promise<string> {
  const out = freshPath(), stop = new AbortController();
  using trainee = await loadModel(model, { backend: "wasm" });
  const training = train(trainee, records, { ...settings, out, signal: stop.signal });
  await assert.rejects(async () => {
    for await (const { step } of training) if (step === 3) stop.abort(new Error("Enough"));
  }, /Enough/);
  return out;
}

test("state.json of another step, with fields of another kind, or cut short is refused in one line", async () => {
  const model = await writeSmallModel(), whole = await stoppedRun(model);
  const name = join("checkpoints", "step-00000003", "state.json");
  const state = JSON.parse(readFileSync(join(whole, name), "utf8"));
  const spoiled: [string, unknown, RegExp][] = [
    ["another step", { ...state, step: 2, updates: 2 }, /says step 2 of 4 and 2 updates: expected step 3/],
    ["beyond the end", { ...state, step: 9, updates: 9 }, /says step 9 of 4/],
    ["no end", { ...state, steps: 2 }, /says step 3 of 2/],
    ["other updates", { ...state, updates: 1 }, /and 1 updates: expected step 3/],
    ["half a step", { ...state, step: 2.5 }, /state\.json is damaged at "step"/],
    ["a text", { ...state, step: "3" }, /damaged at "step"/],
    ["none", { ...state, step: null }, /damaged at "step"/],
    ["no records", { ...state, records: undefined }, /damaged at "records"/],
    ["a list of records", { ...state, records: [] }, /damaged at "records/],
    ["no count", { ...state, records: { ...state.records, count: -1 } }, /damaged at "records\.count"/],
    ["no settings", { ...state, settings: 7 }, /damaged at "settings"/],
    [
      "a best of no number",
      { ...state, best: { step: 1, value: null, waited: 0 } },
      /damaged at "best\.value"/,
    ],
    ["a best before all", { ...state, best: { step: -1, value: 1, waited: 0 } }, /damaged at "best\.step"/],
    [
      "a best still to come",
      { ...state, best: { step: 4, value: 1, waited: 0 } },
      /says that step 4 was the best of 3/,
    ],
    ["a best that waited backwards", { ...state, best: { step: 1, value: 1, waited: -1 } }, /"best\.waited"/],
    ["a best that is a list", { ...state, best: [] }, /damaged at "best/],
    ["whether it is evaluated, in words", { ...state, unevaluated: "no" }, /damaged at "unevaluated"/],
    ["infinite", { ...state, updates: 1e308 }, /damaged at "updates"/],
    ["a number", 3, /damaged at ""/],
    ["nothing", null, /damaged at ""/],
    ["a list", [], /damaged at ""/],
  ];
  const cases: [string, string, RegExp][] = [
    ...spoiled.map(([what, value, line]): [string, string, RegExp] => [what, JSON.stringify(value), line]),
    ["cut short", JSON.stringify(state).slice(0, 40), /expected JSON/],
    ["empty", "", /expected JSON/],
  ];
  for (const [what, text, line] of cases) {
    const out = freshPath();
    cpSync(whole, out, { recursive: true });
    writeFileSync(join(out, name), text);
    const metrics = readFileSync(join(out, "metrics.jsonl"), "utf8");
    using trainee = await loadModel(model, { backend: "wasm" });
    const resumed = train(trainee, records, { ...settings, out, resume: true });
    await assert.rejects(Array.fromAsync(resumed), (error: Error) => {
      assert.equal(error.name, "InputError", `${what}: ${error.stack}`);
      assert.match(error.message, line, what);
      assert.match(error.message, /^[^\n]{1,400}$/, what);
      return true;
    });
    assert.equal(readFileSync(join(out, "metrics.jsonl"), "utf8"), metrics, what);
    assert.deepEqual(readdirSync(join(out, "checkpoints")), readdirSync(join(whole, "checkpoints")), what);
    assert.equal(existsSync(join(out, "config.json")), false, what);
  }
  using trainee = await loadModel(model, { backend: "wasm" });
  const rest = await Array.fromAsync(train(trainee, records, { ...settings, out: whole, resume: true }));
  assert.deepEqual(rest.map(({ step }) => step), [4]);
});

test("before its first checkpoint, and finished, a run is resumed with its own options and records or not at all", async () => {
  const model = await writeSmallModel(), out = freshPath(), stop = new AbortController();
  const late = { ...settings, saveEvery: 0 };
  {
    using trainee = await loadModel(model, { backend: "wasm" });
    await assert.rejects(async () => {
      for await (const { step } of train(trainee, records, { ...late, out, signal: stop.signal })) {
        if (step === 2) stop.abort(new Error("Enough"));
      }
    }, /Enough/);
  }
  const file = join(out, "run.json"), written = readFileSync(file, "utf8");
  const resume = async (changes: object, listener = {}, data = records) => {
    using trainee = await loadModel(model, { backend: "wasm" });
    return await Array.fromAsync(train(trainee, data, { ...late, ...changes, out, resume: true, listener }));
  };
  const refusals = async () => {
    await assert.rejects(resume({ seed: 5 }), {
      message: `Cannot resume ${out}: it was started with seed 0, not 5`,
    });
    await assert.rejects(resume({ steps: 6 }), {
      message: `Cannot resume ${out}: it was started with steps 4, not 6`,
    });
    await assert.rejects(
      resume({}, {}, records.slice(1)),
      /it was trained on 4 other records; the input has 3$/,
    );
  };
  await refusals();
  assert.equal(readFileSync(file, "utf8"), written, "a refusal leaves run.json as it was");
  writeFileSync(file, JSON.stringify({ ...JSON.parse(written), identity: { steps: 4 } }));
  await assert.rejects(resume({}), /run\.json is damaged at "identity\.records"/);
  writeFileSync(
    file,
    JSON.stringify({ ...JSON.parse(written), computedBy: { backend: "webgpu (Moon)", runtime: "x 1" } }),
  );
  const notes: string[] = [], warnings: string[] = [];
  const listener = { note: (line: string) => notes.push(line), warn: (line: string) => warnings.push(line) };
  assert.deepEqual((await resume({ logEvery: 4 }, listener)).map(({ step }) => step), [1, 4]);
  assert.deepEqual(notes, [`Going on from the beginning: ${out} has no checkpoint yet`]);
  assert.equal(warnings.length, 2);
  assert.match(
    warnings[0]!,
    /^The run was started with backend webgpu \(Moon\) and goes on with wasm, [^:]+: its numbers may/,
  );
  assert.match(
    warnings[1]!,
    /^The run was started with runtime x 1 and goes on with \w+ [\d.]+: its numbers may/,
  );
  const { resumed } = JSON.parse(readFileSync(file, "utf8"));
  assert.deepEqual([resumed.length, resumed[0].step, resumed[0].configuration.logEvery], [1, 0, 4]);
  // The model is whole, and the process was killed while it removed its checkpoints.
  cpSync(join(await stoppedRun(model), "checkpoints"), join(out, "checkpoints"), { recursive: true });
  await refusals();
  warnings.length = 0;
  assert.deepEqual(await resume({}, listener), []);
  assert.deepEqual(warnings, [`${out} is finished: nothing is left to resume`]);
  assert.equal(existsSync(join(out, "checkpoints")), false);
});
