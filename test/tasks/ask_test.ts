/** `ask` as a user runs it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { base, run } from "../_commands.ts";

const question = "Tom has 3 balls. He buys 5 more and sells 2. How many balls does he have?";
const asking = ["--model", base, "--backend", "wasm", "--max-tokens", "24"];

test("a question as words, as one word or on standard input gets the same answer, alone on standard output", async () => {
  const [words, one, input, many] = await Promise.all([
    run("ask", [...asking, ...question.split(" ")]),
    run("ask", [question, ...asking]),
    run("ask", asking, { input: `${question}\n` }),
    run("ask", [...asking, "-k", "3", question]),
  ]);
  assert.deepEqual([words.code, words.err], [0, ""]);
  assert.match(words.out, /^\S[^]*\n$/);
  assert.deepEqual([one.out, input.out], [words.out, words.out]);
  const scores = [...many.out.matchAll(/^score (-\d+\.\d{3})/gm)].map(([, score]) => Number(score));
  assert.ok(scores.length > 1 && scores.length <= 3, many.out);
  assert.deepEqual(scores, scores.toSorted((a, b) => b - a));
});

test("no question is refused before a model is loaded, and a task without words takes none", async () => {
  const none = await run("ask", ["--model", "no/such/model"], { input: " \n" });
  assert.deepEqual(none, { code: 2, out: "", err: "ask: Missing QUESTION: see --help\n" });
  const word = await run("vft", ["hello"]);
  assert.deepEqual([word.code, word.err], [2, 'vft: Unexpected argument "hello": expected options only\n']);
  const typo = await run("ask", [...asking, "--max-token", "3", question]);
  assert.deepEqual([typo.code, typo.err], [
    2,
    "ask: Unknown option --max-token: did you mean --max-tokens?\n",
  ]);
  const help = await run("ask", ["--help"]);
  assert.match(help.out, /^Usage: (deno task|bun run) ask --model DIR\|NAME \[QUESTION\] \[OPTION\.\.\.\]$/m);
});
