import assert from "node:assert/strict";
import { test } from "node:test";
import { base, inPairs, lines, records, run, write } from "../_commands.ts";

const wasm = ["--model", base, "--backend", "wasm", "--max-tokens", "24", "--quiet"];
const problems = [
  { id: "a", question: "Tom has 5 pens and buys 3. How many pens has he?", answer: "8" },
  { id: "b", question: "Ann has 9 pens and sells 2. How many pens has she?", answer: "7" },
];

test("--stop ends responses at the first of several texts, none turns it off, a configuration lists them", async () => {
  const input = lines(problems), config = write("stop.json", JSON.stringify({ stop: ["=", "\n"] }));
  const commands = [
    ["-k", "3", "--keep-duplicates", "--stop", "none"],
    ["-k", "3", "--keep-duplicates", "--stop", "=", "--stop", "\n"],
    ["-k", "3", "--keep-duplicates", "--config", config],
  ];
  const results = await inPairs(commands, (args) => run("generate", [...wasm, ...args], { input }));
  results.forEach(({ code, err }) => assert.deepEqual([code, err], [0, ""]));
  const [free, stopped] = results.map(({ out }) =>
    records(out).flatMap(({ candidates }) => candidates.map(({ text }: { text: string }) => text))
  );
  assert.equal(results[2].out, results[1].out);
  assert.deepEqual(stopped, free.map((text) => text.split(/[=\n]/)[0]));
  assert.notDeepEqual(stopped, free);
});

test("what --stop cannot be is refused, and a backslash is told", async () => {
  const input = lines(problems.slice(0, 1));
  const both = await run("generate", [...wasm, "--stop", "none", "--stop", "x"], { input });
  assert.deepEqual([both.code, both.out], [2, ""]);
  assert.equal(
    both.err,
    'generate: Only one of --stop none and other texts can be given: got ["none","x"]\n',
  );
  const empty = await run("evaluate", [...wasm, "--stop", ""], { input });
  assert.deepEqual([empty.code, empty.out], [2, ""]);
  assert.equal(empty.err, 'evaluate: Option --stop must be a text that is not empty: got ""\n');
  const config = write("bad-stop.json", JSON.stringify({ stop: "x" }));
  const single = await run("generate", [...wasm, "--config", config], { input });
  assert.equal(single.code, 2);
  assert.match(single.err, /"stop" must be a list of texts/);
  const told = await run("evaluate", [...wasm.slice(0, -1), "--stop", "\\nQuestion:"], { input });
  assert.equal(told.code, 0, told.err);
  assert.match(
    told.err,
    /^evaluate: --stop \\nQuestion: holds a backslash, no line end: a shell writes one as \$'\\nQuestion:'$/m,
  );
});
