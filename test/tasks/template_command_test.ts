import assert from "node:assert/strict";
import { test } from "node:test";
import { thinking, writeChatModel } from "../_chat_models.ts";
import { run } from "../_commands.ts";

const problem = { id: "p", question: "Q", reference: "A" };

test("commands take the options, keep them, and name what is wrong by its flag", async () => {
  const model = await writeChatModel(thinking, { context: 512 });
  const record = JSON.stringify(problem);
  const flags = ["--template-variables", '{"enable_thinking": false}', "--template-date", "2025-02-28"];
  for (const task of ["vft", "generate", "score", "ca-align", "evaluate", "align"]) {
    const out = ["vft", "ca-align", "align"].includes(task) ? ["--out", "/nowhere"] : [];
    const { code, out: text, err } = await run(task, ["--model", model, ...out, ...flags, "--dry-run"]);
    assert.equal(code, 0, err);
    const { options } = JSON.parse(text);
    assert.equal(options["template-variables"], '{"enable_thinking": false}');
    assert.equal(options["template-date"], "2025-02-28");
  }
  const scored = await run("score", ["--model", model, "--template-variables", '{"enable_thinkin": 1}'], {
    input: JSON.stringify({ ...problem, candidates: ["A"] }) + "\n",
  });
  assert.equal(scored.code, 0, scored.err);
  assert.match(
    scored.err,
    /^score: The chat template never reads the variable enable_thinkin of --template-variables/m,
  );
  for (
    const [given, pattern] of [
      [["--template-variables", "enable_thinking=false"], /--template-variables must be an object in JSON/],
      [["--template-variables", '{"messages": 1}'], /--template-variables: it must not name messages/],
      [
        ["--template-date", "2024-13-01"],
        /--template-date must be a day, such as 2024-07-26: got "2024-13-01"/,
      ],
      [
        [...flags, "--chat", "never"],
        /Cannot use --template-variables: --chat never makes prompts plain text/,
      ],
    ] as const
  ) {
    const { code, err } = await run("generate", ["--model", model, ...given, "--quiet"], { input: record });
    assert.equal(code, 2, err);
    assert.match(err, pattern);
  }
});
