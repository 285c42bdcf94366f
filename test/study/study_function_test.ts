/** `study` as a program calls it: an end in the middle, folders that must not go, options that have no meaning. */
import assert from "node:assert/strict";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { InputError, study, type StudyOptions, UsageError } from "../../mod.ts";

const folder = mkdtempSync(join(tmpdir(), "study-function-test-"));
after(() => rmSync(folder, { recursive: true }));
const base = fileURLToPath(new URL("../../fixtures/base", import.meta.url));
const quick: StudyOptions = { quick: true, backend: "wasm", only: ["pilot"] };

test("a study that is ended throws the reason, and the same call goes on with it", async () => {
  const out = join(folder, "ended"), reason = new Error("enough"), controller = new AbortController();
  const ended = study({ ...quick, out, signal: controller.signal }, {
    metrics: () => controller.abort(reason),
  });
  await assert.rejects(ended, (error) => error === reason);
  assert.ok(existsSync(join(out, "study.json")), "its first experiment was not finished");
  assert.ok(!existsSync(join(out, "results.json")));
  const outcomes = await study({ ...quick, out });
  assert.equal(outcomes.length, 1);
  assert.ok(outcomes[0]!.tables.length > 0);
  assert.ok(existsSync(join(out, "study.html")));
});

test("overwrite keeps a study that holds the model, or whose model cannot be read", async () => {
  const out = join(folder, "holds"), model = join(out, "cells", "mine");
  mkdirSync(join(out, "cells"), { recursive: true });
  writeFileSync(join(out, "study.json"), '{"backend":"wasm","experiments":{}}');
  cpSync(base, model, { recursive: true });
  await assert.rejects(
    study({ ...quick, out, model, overwrite: true }),
    new UsageError(`Cannot overwrite ${out}: the run reads ${model} in it`),
  );
  await assert.rejects(study({ ...quick, out, model: join(folder, "gone"), overwrite: true }), InputError);
  assert.ok(existsSync(join(model, "config.json")));
});

test("a folder of something else is left alone", async () => {
  const out = join(folder, "thesis");
  mkdirSync(out);
  writeFileSync(join(out, "thesis.txt"), "x");
  for (const overwrite of [false, true]) {
    await assert.rejects(
      study({ ...quick, out, overwrite }),
      new UsageError(
        `Cannot ${
          overwrite ? "overwrite" : "resume"
        } ${out}: it has no study.json, so it is no run of this task`,
      ),
    );
  }
  assert.deepEqual(readdirSync(out), ["thesis.txt"]);
});

test("options that have no meaning are told in one line, before there is a folder", async () => {
  const out = join(folder, "none");
  const cases: readonly (readonly [Record<string, unknown>, string])[] = [
    [{ seed: 1 }, "Unknown option seed of study: did you mean seeds?"],
    [{ seeds: 0 }, "Option seeds must be a whole number of at least 1: got 0"],
    [{ only: "main" }, 'Option only must be a list of texts: got "main"'],
    [{ quick: "yes" }, 'Option quick must be true or false: got "yes"'],
    [{ model: 5 }, "Option model must be a text that is not empty: got 5"],
    [{ backend: "cuda" }, 'Option backend must be one of auto, webgpu, wasm: got "cuda"'],
  ];
  for (const [wrong, message] of cases) {
    await assert.rejects(study({ ...quick, out, ...wrong } as StudyOptions), { name: "UsageError", message });
  }
  await assert.rejects(study({ ...quick, out, model: join(folder, "gone") }), InputError);
  assert.ok(!existsSync(out));
});

test("every cell is evaluated on a share of its own questions, and is another cell without", async () => {
  const out = join(folder, "evaluated"), only = ["main"], start = ["vft" as const], methods = ["VFT", "AFT"];
  const small: StudyOptions = { ...quick, out, only, start, methods, data: ["arithmetic"] };
  await study({ ...small, evaluation: { share: 0.4, every: 1, generate: 1, keepBest: "margin" } });
  const cells = readdirSync(join(out, "cells"));
  assert.ok(
    cells.some((name) => name.includes("-vft-")) && cells.some((name) => name.includes("-aft-")),
    `${cells}`,
  );
  for (const name of cells) {
    const lines = readFileSync(join(out, "cells", name, "metrics.jsonl"), "utf8").trimEnd().split("\n");
    const all = lines.map((line) => JSON.parse(line)), evaluated = all.filter((line) => "eval_loss" in line);
    // The model is measured before the first step and after each.
    const { step: last } = all.findLast((line) => !("eval_loss" in line))!;
    assert.ok(last >= 2, name);
    assert.deepEqual(evaluated.map(({ step }) => step), Array.from({ length: last + 1 }, (_, i) => i), name);
    assert.ok(
      evaluated.every((line) => "eval_accuracy" in line && "eval_margin" in line === !/vft/.test(name)),
      name,
    );
  }
  await study(small);
  assert.equal(readdirSync(join(out, "cells")).length, 2 * cells.length);
});

test("an evaluation of a study without a share, or with data of its own, is refused", async () => {
  const out = join(folder, "refused");
  const wrong: [object, RegExp][] = [
    [
      { every: 1 },
      /^UsageError: Option `evaluation.share` of a study must be given: the part of the training questions to hold out$/,
    ],
    [{ share: 2 }, /share/],
    [{ share: 0.1, data: [] }, /data/],
    [{ share: 0.1, keepBest: "speed" }, /speed/],
  ];
  for (const [evaluation, message] of wrong) {
    await assert.rejects(
      study({ ...quick, out, evaluation } as StudyOptions),
      (error) => error instanceof UsageError && message.test(String(error)),
      JSON.stringify(evaluation),
    );
  }
  assert.ok(!existsSync(out));
});
