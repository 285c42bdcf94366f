/** Work on records that was cut off goes on where it stopped, and gives the bytes of one that was not. */
import assert from "node:assert/strict";
import { appendFileSync, existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { at, base, lines, records, run, write } from "../_commands.ts";

const wasm = ["--model", base, "--backend", "wasm", "--quiet"];
const groups = Array.from({ length: 24 }, (_, i) => ({
  id: `p-${i}`,
  question: `Tom has ${i + 3} balls. He buys 5 more and sells 3. How many balls does he have now?`,
  reference: `${i + 3} + 5 = ${i + 8} balls. ${i + 8} - 3 = ${i + 5} balls.\n#### ${i + 5}`,
  answer: `${i + 5}`,
  candidates: [{ text: `so ${i + 5}\n#### ${i + 5}` }, {
    text: `${i + 3} balls${" and more".repeat(i % 5)}`,
  }],
}));
const input = write("resumed-input.jsonl", groups);

/** Task, and what it is asked for beside files: all in small pieces, so that a kill finds it in the middle. */
const commands: [task: string, args: string[]][] = [
  ["generate", [...wasm, "-k", "2", "--max-tokens", "16", "--slots", "4"]],
  ["score", [...wasm, "--micro-batch", "256"]],
  ["score", ["--quiet", "--rank", "steps"]],
  ["evaluate", [...wasm, "--max-tokens", "6", "--details", "--votes", "2"]],
];

for (const [task, args] of commands) {
  test(`${task} ${args.slice(-2).join(" ")}: byte-identical behind any line, whole or not`, async () => {
    const whole = at(`${task}-whole.jsonl`), part = at(`${task}-part.jsonl`);
    const asked = [...args, "--input", input];
    const first = await run(task, [...asked, "--overwrite", "--output", whole]);
    assert.equal(first.code, 0, first.err);
    const bytes = readFileSync(whole), text = bytes.toString();
    assert.ok(!existsSync(`${whole}.partial`) && !existsSync(`${whole}.partial.json`));

    // An output that breaks off at its beginning, after a line, in the middle of one and of a character, and at its end.
    const second = text.indexOf("\n") + 1, cuts = [7, second + 40, bytes.length - 9, bytes.length];
    // What it was asked for with is noted beside it.
    const dry = await run(task, [...asked, "--dry-run", "--output", part]);
    for (const cut of cuts) {
      rmSync(part, { force: true });
      writeFileSync(`${part}.partial`, bytes.subarray(0, cut));
      writeFileSync(`${part}.partial.json`, dry.out);
      const resumed = await run(task, [...asked, "--resume", "--output", part]);
      assert.equal(resumed.code, 0, `${cut}: ${resumed.err}`);
      assert.equal(resumed.err.includes("missing"), false, resumed.err);
      assert.ok(readFileSync(part).equals(bytes), `${task}: another output behind byte ${cut}`);
      assert.ok(!existsSync(`${part}.partial`) && !existsSync(`${part}.partial.json`));
    }
  });
}

test("what a killed run left nameless beside its output goes with the next run of it, and nothing else does", async () => {
  const part = at("nameless.jsonl"), beside = (name: string) => at(`.${name}.01234abc.aft-tmp`);
  const own = [beside("nameless.jsonl"), beside("nameless.jsonl.partial.json")];
  const others = [beside("other.jsonl"), at(".nameless.jsonl.01234abc.old")];
  for (const path of [...own, ...others]) writeFileSync(path, "{");
  const { code, err } = await run("score", [
    "--quiet",
    "--rank",
    "steps",
    "--input",
    input,
    "--output",
    part,
  ]);
  assert.equal(code, 0, err);
  assert.deepEqual([...own, ...others].map((path) => existsSync(path)), [false, false, true, true]);
});

test("a link under the name of a part is not followed", async () => {
  const part = at("linked.jsonl"), photo = write("photo", "precious");
  symlinkSync(photo, `${part}.partial`);
  const words = ["--quiet", "--rank", "steps", "--input", input, "--output", part];
  for (const more of [[], ["--overwrite"]]) {
    assert.deepEqual(await run("score", [...words, ...more]), {
      code: 1,
      out: "",
      err: `score: Cannot write ${part}.partial: it is a link, which is not followed\n`,
    });
    assert.equal(readFileSync(photo, "utf8"), "precious");
  }
});

test("SIGKILL at any moment of generate, and --resume, as often as it takes", async () => {
  const args = [...commands[0]![1], "--input", input],
    whole = at("generate-whole.jsonl"),
    part = at("killed.jsonl");
  assert.equal((await run("generate", [...args, "--overwrite", "--output", whole])).code, 0);
  let kills = 0, code: number | null = null;
  for (let tries = 0; code !== 0; tries++) {
    assert.ok(tries < 40, "it never ends");
    const watch = new AbortController();
    const ended = await run("generate", [...args, "--resume", "--output", part], {
      onStart(child) {
        const seen = () => existsSync(`${part}.partial`) ? readFileSync(`${part}.partial`).length : 0;
        const before = seen();
        const timer = setInterval(() => {
          if (tries < 3 && seen() > before + 300 * tries) child.kill("SIGKILL");
        }, 2);
        watch.signal.addEventListener("abort", () => clearInterval(timer));
      },
    });
    watch.abort();
    code = ended.code;
    if (code !== 0) kills++;
  }
  assert.ok(kills >= 1, "it was too fast to be killed");
  assert.ok(readFileSync(part).equals(readFileSync(whole)));
});

test("evaluate without --details keeps what it measured for a run that goes on", async () => {
  const args = [...wasm, "--max-tokens", "6", "--input", input], out = at("summary.json");
  const detailed = await run("evaluate", [
    ...args,
    "--details",
    "--overwrite",
    "--output",
    at("detailed.jsonl"),
  ]);
  assert.equal(detailed.code, 0, detailed.err);
  const details = readFileSync(at("detailed.jsonl"), "utf8").split("\n");
  const plain = await run("evaluate", [...args, "--overwrite", "--output", out]);
  assert.equal(plain.code, 0, plain.err);
  const summary = readFileSync(out, "utf8");
  assert.equal(summary, details.at(-2) + "\n"); // nothing but the summary
  rmSync(out);
  const dry = await run("evaluate", [...args, "--dry-run", "--output", out]);
  writeFileSync(`${out}.partial`, details.slice(0, 20).join("\n") + "\n");
  writeFileSync(`${out}.partial.json`, dry.out);
  const resumed = await run("evaluate", [...args, "--resume", "--output", out]);
  assert.equal(resumed.code, 0, resumed.err);
  assert.equal(readFileSync(out, "utf8"), summary);
  assert.ok(!existsSync(`${out}.partial`));
});

test("what is there is never cut in silence: two options, and what does not fit is refused", async () => {
  const args = [...commands[0]![1], "--input", input], out = at("there.jsonl"), partial = `${out}.partial`;
  const begun = await run("generate", [...args, "--output", out, "--limit", "1"]);
  assert.equal(begun.code, 0, begun.err);
  const line = readFileSync(out, "utf8");
  // A run of its own that an error ends leaves its lines and what it was asked for.
  const broken = write("broken-input.jsonl", lines(groups.slice(0, 2)) + "{\n");
  const cut = await run("generate", [...commands[0]![1], "--input", broken, "--output", out, "--overwrite"]);
  assert.equal(cut.code, 1);
  assert.match(
    cut.err,
    /^generate: Kept the 2 lines written so far in \S+there\.jsonl\.partial; --resume goes on with them$/m,
  );
  assert.equal(readFileSync(out, "utf8"), line);
  rmSync(out);

  const kept = readFileSync(partial, "utf8");
  const refused = async (more: string[], code: number, message: RegExp, from = args) => {
    const ended = await run("generate", [...from, "--output", out, ...more]);
    assert.deepEqual([ended.code, ended.out], [code, ""], ended.err);
    assert.match(ended.err, message);
    assert.equal(readFileSync(partial, "utf8"), kept);
  };
  await refused(
    [],
    2,
    /^generate: Cannot write \S+: \S+\.partial holds 2 lines of a run that was cut off: --resume goes on with them, --overwrite begins anew\n$/,
  );
  await refused(
    ["--resume", "--seed", "5"],
    2,
    /^generate: Cannot resume \S+: it was begun with --seed 0, not 5\n$/,
  );
  await refused(
    ["--resume", "--stop", "x"],
    2,
    /^generate: Cannot resume \S+: it was begun with --stop none, not \["x"\]\n$/,
  );
  await refused(
    ["--resume", "--limit", "1"],
    2,
    /^generate: Kept [^\n]*\ngenerate: Cannot resume: 2 records are there already, and the input has 1; --overwrite begins anew\n$/,
  );
  const others = write("other-input.jsonl", [groups[0], { ...groups[1], question: "Another?" }, groups[2]]);
  await refused(
    ["--resume"],
    2,
    /record 2 of the input is "p-1", and line 2 of what is there has the same id and another question/,
    [
      ...commands[0]![1],
      "--input",
      others,
    ],
  );
  const swapped = write("swapped-input.jsonl", [groups[1], groups[0]]);
  await refused(["--resume"], 2, /record 1 of the input is "p-1", and line 1 of what is there has id "p-0"/, [
    ...commands[0]![1],
    "--input",
    swapped,
  ]);
  const scored = await run("score", ["--input", input, "--output", out, "--resume"]);
  assert.equal(scored.code, 2);
  assert.match(scored.err, /it was begun by generate, not score/);
  const piped = await run("generate", [...args, "--resume"]);
  assert.deepEqual([piped.code, piped.out], [2, ""]);
  assert.equal(
    piped.err,
    "generate: Option --resume needs --output FILE: standard output keeps nothing to go on with\n",
  );

  // Without the note of its options it goes on, and says what it cannot know.
  rmSync(`${partial}.json`);
  appendFileSync(partial, '{"id":"p-2","ques'); // a kill in the middle of a line
  const blind = await run("generate", [...args, "--resume", "--output", out]);
  assert.equal(blind.code, 0, blind.err);
  assert.match(
    blind.err,
    /\.partial\.json is missing: whether \S+\.partial was begun with the same options cannot be told/,
  );
  assert.equal(records(readFileSync(out, "utf8")).length, 24);
  const finished = await run("generate", [...args, "--resume", "--output", out]);
  assert.deepEqual([finished.code, finished.err], [
    0,
    `generate: ${out} is finished: nothing is left to resume\n`,
  ]);
});

test("the metrics of a training that is killed and resumed are those of one that was not", async () => {
  const args = (name: string) => [
    ...[
      ...wasm,
      "--input",
      input,
      "--steps",
      "120",
      "--batch-size",
      "2",
      "--log-every",
      "1",
      "--save-every",
      "6",
    ],
    ...["--out", at(name), "--output", at(`${name}.jsonl`)],
  ];
  const whole = await run("vft", args("kept-trained"));
  assert.equal(whole.code, 0, whole.err);
  const partial = at("kept-cut.jsonl.partial");
  const count = () => existsSync(partial) ? readFileSync(partial, "utf8").split("\n").length - 1 : 0;
  const cut = await run("vft", args("kept-cut"), {
    onStart(child) {
      const timer = setInterval(() => {
        if (count() >= 9) child.kill("SIGKILL"); // past the checkpoint of step 6
        if (child.killed || child.exitCode !== null) clearInterval(timer);
      }, 2);
    },
  });
  assert.notEqual(cut.code, 0);
  const refused = await run("vft", [...args("kept-cut")]);
  assert.equal(refused.code, 2);
  assert.match(
    refused.err,
    /holds \d+ lines of a run that was cut off: --resume goes on with them, --overwrite begins anew\n$/,
  );
  const resumed = await run("vft", [...args("kept-cut"), "--resume"]);
  assert.equal(resumed.code, 0, resumed.err);
  const steps = (name: string) =>
    records(readFileSync(at(`${name}.jsonl`), "utf8")).map(({ step, loss }) => [step, loss]);
  assert.deepEqual(steps("kept-cut"), steps("kept-trained"));
});
