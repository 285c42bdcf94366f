/** A pipe whose first program fails midway: nothing is trained on a part, unless that is asked for. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { asSaid, at, base, lines, records, run, shell, write } from "../_commands.ts";

const wasm = `--model ${base} --backend wasm --quiet`;
const problem = (i: number) => ({
  id: `p-${i}`,
  question: `Tom has ${i + 3} balls and buys 5 more. How many balls does he have now?`,
  reference: `${i + 3} + 5 = ${i + 8}\n#### ${i + 8}`,
  answer: `${i + 8}`,
});
const four = [0, 1, 2, 3].map(problem);
/** The fourth line is no record. */
const broken = write("broken-problems.jsonl", lines(four.slice(0, 3)) + '{"id":"x","question":7}\n');

test("generate that fails midway: score writes what it got and fails, ca-align trains nothing", async () => {
  const out = at("pipe-refused"), scored = at("pipe-scored.jsonl");
  const { code, out: metrics, err } = await shell(
    `@generate ${wasm} --input ${broken} -k 2 --max-tokens 12 | @score ${wasm} | tee ${scored} ` +
      `| @ca-align ${wasm} --steps 1 --log-every 1 --out ${out}; echo "codes \${PIPESTATUS[@]}"`,
  );
  assert.equal(code, 0, err);
  assert.equal(metrics, "codes 1 1 0 1\n"); // nothing but what the shell says: no metrics
  assert.ok(!existsSync(out));
  const cause = `generate: Cannot read record 4 of ${broken}: field "question" must be a string: got 7`;
  const here = "Cannot read standard input to its end: behind record 3 its writer failed";
  const help = "; --allow-partial takes the 3 records before it";
  const said = err.split("\n").filter((line) => / Cannot /.test(line));
  assert.equal(said[0], cause);
  assert.equal(said[1], `score: ${here}: ${cause}${help}`);
  assert.ok(
    said[2]!.startsWith(`ca-align: ${here}: score: ${here}: generate: Cannot read record 4`),
    said[2],
  );
  // Every record that was whole came through, and the last line says why there are no more.
  const written = readFileSync(scored, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(written.map(({ id }) => id), ["p-0", "p-1", "p-2", undefined]);
  assert.deepEqual(written[3], { error: said[1] });

  // Asked for, the part is used, and that is told.
  const partial = await run("ca-align", [
    ...wasm.split(" "),
    ...["--input", scored, "--allow-partial", "--steps", "1", "--log-every", "1", "--out", out],
  ]);
  assert.equal(partial.code, 0, partial.err);
  assert.match(
    partial.err,
    /^ca-align: Cannot read .*; --allow-partial: the 3 records before it are taken$/m,
  );
  assert.equal(records(partial.out).length, 1);
  assert.ok(existsSync(join(out, "model.safetensors")));
});

test("a last line that breaks off is no record, in a pipe as in a file", async () => {
  const groups = four.map((one) => ({
    ...one,
    candidates: [{ text: `#### ${one.answer}`, correct: true }, { text: "#### 1", correct: false }],
  }));
  const whole = lines(groups), part = write("part.jsonl", whole.slice(0, -30)), out = at("part-trained");
  const args = [...wasm.split(" "), "--steps", "1", "--log-every", "1", "--out", out];
  const refused = await run("ca-align", args, { input: whole.slice(0, -30) });
  assert.deepEqual([refused.code, refused.out, existsSync(out)], [1, "", false]);
  assert.match(
    refused.err,
    /^ca-align: Cannot read line 4 of standard input: .* breaks off after \d+ characters: .*; --allow-partial takes the 3 records before it\n$/,
  );
  const taken = await run("ca-align", [...args, "--input", part, "--allow-partial"]);
  assert.equal(taken.code, 0, taken.err);
  assert.match(taken.err, /--allow-partial: the 3 records before it are taken$/m);
  // Cut inside a character, too: three bytes of the last line's first.
  const bytes = lines([{ ...four[0] }]) + '{"id":"ü';
  const cut = await shell(`printf '%s' '${bytes}' | head -c -1 | @generate ${wasm} -k 1 --max-tokens 2`);
  assert.equal(cut.code, 1);
  assert.match(
    cut.err,
    /line 2 of standard input: it must be UTF-8 text, and has no end; --allow-partial takes the record/,
  );
  // A fault with more lines behind it is no early end: that is refused with the option too.
  const fault = whole.replace('"id":"p-2"', '"id":');
  const still = await run("ca-align", [...args.slice(0, -1), at("never"), "--allow-partial"], {
    input: fault,
  });
  assert.deepEqual([still.code, still.out], [1, ""]);
  assert.match(still.err, /^ca-align: Cannot read line 3 of standard input: [^\n]*\n$/);
});

test("a writer that is ended by a signal says so to its reader; one that wrote nothing writes no error", async () => {
  const many = lines(Array.from({ length: 400 }, (_, i) => problem(i)));
  let sent = false;
  const ended = await run("generate", [...wasm.split(" "), "-k", "2", "--max-tokens", "24", "--slots", "4"], {
    input: many,
    onOutput(child, text) {
      if (sent || !text.includes("\n")) return;
      sent = true;
      process.kill(child.pid!, "SIGTERM");
    },
  });
  assert.equal(ended.code, 130, ended.err);
  const written = ended.out.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.ok(written.length > 1 && written.length < 400);
  assert.deepEqual(written.at(-1), { error: "generate: Interrupted" });
  assert.ok(written.slice(0, -1).every(({ candidates }) => candidates.length > 0));

  const nothing = await run("generate", wasm.split(" "), { input: "{\n" });
  assert.deepEqual([nothing.code, nothing.out], [1, ""]);
  assert.match(nothing.err, /^generate: Cannot read line 1 of standard input: /);
  const reader = await shell(`@generate ${wasm} --input ${write("broken-off.jsonl", "{\n")} | @score`);
  assert.equal(reader.code, 1);
  assert.match(reader.err, new RegExp(asSaid("^score: Cannot read standard input: .*got empty input$"), "m"));
});
