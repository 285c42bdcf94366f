import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { objectives } from "../../lib/objectives/objectives.ts";
import { asSaid, at, base, inPairs, lines, run, write } from "../_commands.ts";

/** One refusal: the task, its arguments, and the whole of standard error behind the task's name. */
type Refusal = readonly [task: string, args: readonly string[], message: string];

/** Exit code 2, one line that starts with the task's name, and nothing on standard output. */
async function refused(refusals: readonly Refusal[]): Promise<void> {
  await inPairs(refusals, async ([task, args, message]) => {
    assert.deepEqual(await run(task, args), { code: 2, out: "", err: `${task}: ${message}\n` });
  });
}

test("unknown options, wrong values and missing options are refused by every task", async () => {
  await refused([
    ["vft", ["--lerning-rate", "1"], "Unknown option --lerning-rate: did you mean --learning-rate?"],
    ["vft", ["--model", base], "Missing option --out DIR: see --help"],
    ["generate", ["--max-tokens=12.5"], 'Option --max-tokens must be a positive integer: got "12.5"'],
    ["generate", [], "Missing option --model DIR|NAME or --generate-from URL: see --help"],
    [
      "score",
      ["--endings", "normalise"],
      'Option --endings must be keep or normalize: got "normalise", ' +
      "did you mean normalize?",
    ],
    [
      "ca-align",
      ["--model", base, "--out", at("x"), "--objective", "rrfh"],
      `Objective must be one of ${Object.keys(objectives).join(", ")}, or a sum of some: ` +
      'got "rrfh": did you mean rrhf?',
    ],
    [
      "ca-align",
      ["--model", base, "--out", at("x"), "--objective", "aft", "--gamma", "1"],
      "Cannot use --gamma with objective aft: it has beta",
    ],
    [
      "ca-align",
      ["--model", base, "--out", at("x"), "--objective", "dpo", "--undesirable-weight", "2"],
      "Cannot use --undesirable-weight with objective dpo: it has beta, boundary, labelSmoothing",
    ],
    [
      "ca-align",
      ["--model", base, "--out", at("x"), "--objective", "aft:1,aft-rank", "--dry-run"],
      "Cannot add aft and aft-rank: aft learns from labels, aft-rank from ranks or rewards",
    ],
    [
      "align",
      ["--objective", "scpo", "--out", at("x"), "--dry-run"],
      "Cannot align with objective scpo: it learns from rewards, and candidates are marked right or wrong; with --label " +
      "majority their votes are ranks and rewards",
    ],
    [
      "score",
      ["--label", "majority", "--relabel"],
      "Option --relabel has no meaning with --label majority",
    ],
    ["evaluate", ["--votes"], "Option --votes needs a value: an integer of at least 0"],
    ["align", ["--constrants", "dc"], "Unknown option --constrants: did you mean --constraints?"],
    ["doctor", ["--jsn"], "Unknown option --jsn: did you mean --json?"],
    [
      "generate",
      ["--model", base, "--data", "arithmetic", "--input", write("in.jsonl", [{}])],
      "Only one of --data and --input can be given",
    ],
    ["table", ["--seed", "1"], "Unknown option --seed"],
  ]);
  assert.ok(!existsSync(at("x")));
});

test("data sets, splits and files that are not there are refused before a model is loaded", async () => {
  const names = "arithmetic, arithmetic-long, options, ranked, gsm8k, aqua, ecqa, mmlu, svamp";
  await refused([
    [
      "vft",
      ["--model", base, "--out", at("x"), "--data", "aritmetic"],
      `Data set must be a file, a directory or one of ${names}: got "aritmetic": did you mean arithmetic?`,
    ],
    [
      "evaluate",
      ["--model", base, "--data", "arithmetic:dev"],
      'Split of arithmetic must be one of train, test: got "dev"',
    ],
    [
      "align",
      ["--out", at("x"), "--data", "arithmetic", "--test-data", "arithmetics"],
      `Data set must be a file, a directory or one of ${names}: got "arithmetics": did you mean arithmetic?`,
    ],
    [
      "generate",
      ["--model", base, "--data", at("none.jsonl")],
      `Cannot read ${at("none.jsonl")}: no such file or directory`,
    ],
    ["score", ["--input", at("none.jsonl")], `Cannot read ${at("none.jsonl")}: no such file or directory`],
  ]);
  assert.ok(!existsSync(at("x")));
});

test("every task's help fits 80 columns, and its examples are commands that parse", async () => {
  const tasks = [
    ...["vft", "generate", "score", "ca-align", "evaluate", "align", "doctor", "make-base", "merge"],
    "gpu-report",
  ];
  const pages = await inPairs(tasks, (task) => run(task, ["--help"]));
  const commands: string[] = [];
  pages.forEach(({ code, out, err }, i) => {
    assert.deepEqual([code, err], [0, ""]);
    for (const line of out.split("\n")) assert.ok([...line].length <= 80, `${tasks[i]}: ${line}`);
    assert.ok(out.includes(asSaid(`\nUsage: deno task ${tasks[i]}`)));
    const examples = out.split("\nExamples:\n")[1].split("\nShell completion")[0];
    for (const command of examples.replaceAll(" \\\n", " ").split("\n")) {
      if (/^ {4}/.test(command)) commands.push(...command.split(/\|| > /));
    }
  });
  const parsed = commands.map((command) => command.trim().split(/\s+/)).filter(([word]) =>
    word === "deno" || word === "bun"
  );
  assert.ok(parsed.length > 12);
  await inPairs(parsed, async ([, , task, ...args]) => {
    const { code, out, err } = await run(task, [...args, "--dry-run"]);
    // A plan may need the model, and the examples' models are not here.
    if (code === 1) return assert.match(err, /^\S+: Cannot open model directory (runs|models)\//);
    assert.deepEqual([code, err], [0, ""], `${task} ${args.join(" ")}`);
    assert.equal(JSON.parse(out).task, task);
  });
});

test("--dry-run prints the whole configuration, which --config reads; flags come before it", async () => {
  const config = write(
    "config.json",
    JSON.stringify({ model: base, samples: 3, "top-p": 0.9, data: "arithmetic" }),
  );
  const first = await run("generate", ["--config", config, "-k", "2", "--dry-run"]);
  assert.deepEqual([first.code, first.err], [0, ""]);
  const { task, options, version, runtime } = JSON.parse(first.out);
  assert.deepEqual([task, options.samples, options["top-p"], options.seed], ["generate", 2, 0.9, 0]);
  assert.ok(version && runtime);
  const again = await run("generate", ["--config", write("again.json", first.out), "--dry-run"]);
  assert.equal(again.out, first.out);
  const wrong = write("wrong.json", JSON.stringify({ model: base, sampels: 3 }));
  assert.deepEqual(await run("generate", ["--config", wrong]), {
    code: 2,
    out: "",
    err: `generate: Cannot read ${wrong}: unknown key "sampels": did you mean samples?\n`,
  });
  const align = await run("align", ["--out", at("dry"), "--dry-run"]);
  assert.equal(JSON.parse(align.out).options.model, base);
  assert.ok(!existsSync(at("dry")));
});

test("--profile prints launches and time of each kernel on standard error", async () => {
  const groups = lines([{
    id: "a",
    question: "1 + 1?",
    reference: "#### 2",
    candidates: [{ text: "#### 2" }],
  }]);
  const args = ["--model", base, "--backend", "wasm", "--profile", "--quiet"];
  const { code, out, err } = await run("score", args, { input: groups });
  assert.equal(code, 0, err);
  assert.equal(out.split("\n").length, 2);
  assert.match(err, /^Profile of \d+\.\d s\nkernel +launches +ms +µs each +% of wall\n─/);
  const rows = new Map(
    err.split("\n").map((line) => [line.split(/ +/)[0], line.split(/ +/).slice(1).map(Number)]),
  );
  const [launches, milliseconds] = rows.get("sgemm")!;
  // Four layers of q/k/v, o, gate/up and down, and the head; once, since both responses fit one batch.
  assert.ok(launches >= 17 && milliseconds > 0, err);
  const kernels = [...rows].filter(([name, cells]) =>
    /^\w/.test(name) && cells.length === 4 && name !== "all"
  );
  const sum = (column: number) => kernels.reduce((total, [, cells]) => total + cells[column], 0);
  const all = rows.get("all")!;
  assert.equal(all[0], sum(0));
  assert.ok(Math.abs(all[1] - sum(1)) < 0.06 * kernels.length); // one digit each
  assert.ok(all[3] <= 100);
});
