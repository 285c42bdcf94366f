/** `align` as a program calls it: results, a listener, an end in the middle, options that have no meaning. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { resolveAlign } from "../../lib/pipeline/align_options.ts";
import { align, type AlignOptions, InputError, UsageError } from "../../mod.ts";

const folder = mkdtempSync(join(tmpdir(), "align-function-test-"));
after(() => rmSync(folder, { recursive: true }));

const small: AlignOptions = {
  backend: "wasm",
  limit: 8,
  testLimit: 4,
  epochs: 1,
  alignEpochs: 1,
  start: "vft",
  samples: 2,
  votes: 0,
  maxTokens: 16,
  batchSize: 4,
  constraints: "dc",
};

test("one that is ended in the middle throws the reason at once and can be resumed, with the results of a whole run", async () => {
  const out = join(folder, "ended"), reason = new Error("enough"), controller = new AbortController();
  const notes: string[] = [], lines: string[] = [];
  let asked = 0;
  const ending = align({ ...small, out, signal: controller.signal }, {
    note: (line) => notes.push(line),
    metrics: (model, { step }) => lines.push(`${model} ${step}`),
    progress: ({ part, done }) => {
      if (part !== "aft-dc" || done < 1 || controller.signal.aborted) return;
      asked = performance.now();
      controller.abort(reason);
    },
  });
  await assert.rejects(ending, (error) => error === reason);
  assert.ok(performance.now() - asked < 20_000);
  assert.match(notes[0]!, /^Backend: wasm/);
  // 8 problems in batches of 4 are 2 steps; the last model was ended after its first.
  assert.deepEqual(lines, ["vft 1", "vft 2", "control 1", "control 2", "aft-dc 1"]);
  assert.ok(existsSync(join(out, "vft", "model.safetensors")));
  assert.ok(!existsSync(join(out, "aft-dc", "model.safetensors")));
  assert.ok(!existsSync(join(out, "results.json")));

  const made: string[] = [];
  const resumed = await align({ ...small, out, resume: true }, {
    metrics: (model, { step }) => made.push(`${model} ${step}`),
  });
  assert.deepEqual(made, ["aft-dc 2"]); // the step that was done when it was ended was kept
  assert.deepEqual(resumed.rows.map(({ name, round }) => [name, round]), [
    ["vft", 0],
    ["control", 1],
    ["aft-dc", 1],
  ]);
  assert.ok(existsSync(resumed.report));
  assert.ok(readdirSync(out).every((name) => !/tmp|partial/.test(name)), readdirSync(out).join());

  const whole = await align({ ...small, out: join(folder, "whole") });
  assert.deepEqual(resumed.rows.map(({ summary }) => summary), whole.rows.map(({ summary }) => summary));
});

test("from the base: as long and as fast as VFT, no control that would be VFT again, and it can be resumed", async () => {
  const out = join(folder, "base"), steps: string[] = [];
  const options = { ...small, start: "base", epochs: 2, alignEpochs: undefined, out } as const;
  const made = await align(options, {
    metrics: (model, line) => steps.push(`${model} ${line.step} ${line.learning_rate}`),
  });
  assert.deepEqual(made.rows.map(({ name }) => name), ["vft", "aft-dc"]);
  // 8 problems in batches of 4, twice: as many steps at the same rates, from the same weights.
  const of = (model: string) =>
    steps.filter((line) => line.startsWith(model)).map((line) => line.split(" ").slice(1));
  assert.equal(of("vft").length, 4);
  assert.deepEqual(of("aft-dc"), of("vft"));
  assert.match(readFileSync(made.report, "utf8"), /from the base model, 2 passes, learning rate 0\.001/);
  assert.match(readFileSync(made.report, "utf8"), /The others start where it starts/);

  const stopped = { ...options, out: join(folder, "base-stopped") }, controller = new AbortController();
  await assert.rejects(
    align({ ...stopped, signal: controller.signal }, {
      metrics: (model) => model === "aft-dc" && controller.abort(new Error("enough")),
    }),
    /enough/,
  );
  const again = await align({ ...stopped, resume: true });
  assert.deepEqual(again.rows.map(({ summary }) => summary), made.rows.map(({ summary }) => summary));
  await assert.rejects(align({ ...options, start: "vft", resume: true }), {
    name: "UsageError",
    message: `Cannot resume ${out}: it was started with option \`start: base\`, not vft`,
  });

  // Other passes make a control of their own.
  const other = await align({
    ...small,
    start: "base",
    epochs: 2,
    alignEpochs: 1,
    out: join(folder, "control"),
  });
  assert.deepEqual(other.rows.map(({ name }) => name), ["vft", "control", "aft-dc"]);
});

test("from the base it is the default for AFT by answers, and in every round: only candidates are of the newest model", async () => {
  const { start: _, ...options } = small, first = new Map<string, number>();
  const { rows } = await align({ ...options, batchSize: 8, rounds: 2, out: join(folder, "base-rounds") }, {
    metrics: (model, { step, reference }) => step === 1 && first.set(model, reference as number),
  });
  assert.deepEqual(rows.map(({ name }) => name), ["vft", "aft-dc", "aft-dc round 2"]);
  // The first step is the only one and has all questions: before it each model gives the references what the base does.
  const [vft, ...others] = first.values();
  assert.equal(others.length, 2);
  for (const reference of others) assert.ok(Math.abs(reference - vft!) < 1e-5, `${reference} of ${vft}`);
  const candidates = (name: string) => readFileSync(join(folder, "base-rounds", name), "utf8");
  assert.notEqual(candidates("candidates.jsonl"), candidates("candidates-aft-dc-round-2.jsonl"));
  // Others go on from a model that writes.
  for (const more of [{ objective: "rloo", constraints: undefined }, { label: "majority" }] as const) {
    assert.equal(resolveAlign({ ...options, ...more }).start, "vft");
  }
});

test("one that is ended before it begins leaves no folder", async () => {
  const out = join(folder, "never"), reason = new Error("not now");
  await assert.rejects(
    align({ ...small, out, signal: AbortSignal.abort(reason) }),
    (error) => error === reason,
  );
  assert.ok(!existsSync(out));
});

test("options that have no meaning are told in one line, before there is a folder", async () => {
  const out = join(folder, "none");
  const cases: readonly (readonly [Record<string, unknown>, string])[] = [
    [{ epoch: 1 }, "Unknown option epoch of align: did you mean epochs?"],
    [{ start: "bass" }, 'Option start must be one of vft, base: got "bass"'],
    [
      { start: "base", objective: "rloo", constraints: undefined },
      "Cannot start from the base with objective rloo: it is a gradient at the model that sampled, the VFT model",
    ],
    [{ limit: "8" }, 'Option limit must be a whole number of at least 1: got "8"'],
    [{ model: 5 }, "Option model must be a text that is not empty: got 5"],
    [{ out: 5 }, "Option out must be a text that is not empty: got 5"],
    [{ data: 7 }, "Option data must be a text or a function that gives problems: got 7"],
    [{ testData: 7 }, "Option testData must be a text or a function that gives problems: got 7"],
    [{ overwrite: "no" }, 'Option overwrite must be true or false: got "no"'],
    [{ resume: "yes" }, 'Option resume must be true or false: got "yes"'],
    [{ signal: 5 }, "Option signal must be an AbortSignal: got 5"],
    [{ prompt: "x" }, 'Option prompt must be an object: got "x"'],
    [
      { prompt: { tempalte: "x" } },
      "Unknown option prompt.tempalte of align: did you mean template?",
    ],
    [
      { lora: { r: 4, alpah: 3 } },
      'Cannot read option `lora`: unknown key "alpah", expected r, alpha, targets, dropout, rankStabilized, layers, modules, rankPattern, alphaPattern, embedding, modulesToSave: did you mean alpha?',
    ],
    [{ lora: { r: 4 } }, "Cannot read option `lora`: alpha must be a number above 0: got nothing"],
    [{ lora: 5 }, "Cannot read option `lora`: it must be an object: got 5"],
    [
      { constraints: "db" },
      'Option constraints must be one of all, none, dc, bc: got "db"',
    ],
    [
      { data: async function* () {} },
      "Missing option `testData`: problems that a function reads have no test split",
    ],
  ];
  for (const [wrong, message] of cases) {
    await assert.rejects(align({ ...small, out, ...wrong } as AlignOptions), (error) => {
      assert.ok(error instanceof UsageError, String(error));
      assert.equal(error.message, message);
      return true;
    });
  }
  await assert.rejects(align({ ...small, out, model: join(folder, "gone") }), InputError);
  assert.ok(!existsSync(out));
});
