import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type AlignOptions, resolveAlign } from "../../lib/pipeline/align_options.ts";
import { UsageError } from "../../lib/runtime/errors.ts";

test("align reads own names of fields and answers by index, of training and of test problems", async () => {
  const folder = await mkdtemp(join(tmpdir(), "align-options-"));
  try {
    const path = join(folder, "own.jsonl");
    await writeFile(path, JSON.stringify({ asks: "Q", right: 0, choices: ["x", "y"] }) + "\n");
    const settings = resolveAlign({
      data: path,
      testData: path,
      fields: { question: "asks", answer: "right" },
      answerIndex: "0",
      trainTurns: "last",
    });
    assert.equal(settings.trainTurns, "last");
    for (const source of [settings.train, settings.test]) {
      const [problem] = await Array.fromAsync(source());
      assert.deepEqual([problem?.question, problem?.answer], ["Q", "A"]);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("what they may be", () => {
  const fails = (options: object, pattern: RegExp) =>
    assert.throws(() => resolveAlign(options as AlignOptions), (error: Error) => {
      assert.ok(error instanceof UsageError, String(error));
      assert.match(error.message, pattern);
      return true;
    });
  fails({ answerIndex: 1 }, /^Option answerIndex must be one of 0, 1, letter, text: got 1$/);
  fails({ trainTurns: "first" }, /^Option trainTurns must be one of all, last: got "first"$/);
  fails({ fields: "question=q" }, /^Option fields must be an object: got "question=q"$/);
  fails(
    { prompt: { templateDate: "1st May" } },
    /`templateDate`: it must be a day, such as 2024-07-26: got "1st May"$/,
  );
  fails(
    { prompt: { templateVariable: {} } },
    /^Unknown option prompt.templateVariable of align, did you mean|^Unknown option prompt\.templateVariable of align/,
  );
});
