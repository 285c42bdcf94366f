import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { at, base, inPairs, lines, records, root, run } from "../_commands.ts";

const wasm = ["--backend", "wasm", "--quiet"];
const train = ["--model", base, ...wasm, "--data", "arithmetic", "--limit", "8", "--log-every", "1"];
const weights = (directory: string) => readFileSync(join(directory, "model.safetensors"));

/** Everything in a folder, to see that a refusal changed nothing. */
function listing(directory: string): string[] {
  return (readdirSync(directory, { recursive: true }) as string[]).sort().map((name) => {
    const { size, mtimeMs } = statSync(join(directory, name));
    return `${name} ${size} ${mtimeMs}`;
  });
}

test("a run that exists is refused, resumed when it is the same, or replaced", async () => {
  const out = at("run");
  const first = await run("vft", [...train, "--steps", "2", "--out", out]);
  assert.deepEqual([first.code, first.err], [0, ""]);
  const before = listing(out);
  const again = `vft: Cannot write ${out}: it already exists; use --resume, --overwrite or another --out\n`;
  // Nothing is read before that: the input may be hours of generating away.
  const refusals = await inPairs(
    [
      [...train, "--steps", "2", "--out", out],
      [...train, "--out", join(out, "config.json")],
      [...train, "--model", out, "--out", relative(root, out), "--overwrite"],
      [...train, "--model", out, "--steps", "2", "--out", `${out}/.`, "--resume"],
    ].map((args) => dropEarlier(args, "--model")),
    (args) => run("vft", args),
  );
  assert.deepEqual(refusals.map(({ code, out }) => [code, out]), Array(4).fill([2, ""]));
  assert.equal(refusals[0].err, again);
  assert.match(refusals[1].err, /^vft: Cannot write .*config\.json: it is a file, not a directory\n$/);
  assert.match(refusals[2].err, /^vft: Cannot write \S+: the run reads it; choose another --out\n$/);
  assert.match(refusals[3].err, /^vft: Cannot write \S+: the run reads it; choose another --out\n$/);
  assert.deepEqual(listing(out), before);

  const finished = await run("vft", [...train, "--steps", "2", "--out", out, "--resume"]);
  assert.deepEqual(finished, {
    code: 0,
    out: "",
    err: `vft: ${out} is finished: nothing is left to resume\n`,
  });
  const replaced = await run("vft", [...train, "--steps", "1", "--seed", "3", "--out", out, "--overwrite"]);
  assert.deepEqual([replaced.code, records(replaced.out).length], [0, 1]);
});

/** Leaves the last of an option that is given twice. */
function dropEarlier(args: readonly string[], flag: string): string[] {
  const last = args.lastIndexOf(flag);
  return args.filter((word, i) => i >= last || (word !== flag && args[i - 1] !== flag));
}

test("--overwrite and --resume touch nothing but a run of the same task", async () => {
  const precious = at("precious");
  mkdirSync(precious);
  writeFileSync(join(precious, "thesis.txt"), "years of work");
  const cases: [string, string[]][] = [
    ["vft", [...train, "--out", precious, "--overwrite"]],
    ["vft", [...train, "--out", precious, "--resume"]],
    ["align", ["--out", precious, "--overwrite"]],
    ["align", ["--out", precious, "--resume"]],
    ["vft", [...train, "--out", at("nothing"), "--resume"]],
  ];
  const refusals = await inPairs(cases, ([task, args]) => run(task, args));
  const why = (task: string, verb: string, mark: string) =>
    `${task}: Cannot ${verb} ${precious}: it has no ${mark}, so it is no run of this task\n`;
  assert.deepEqual(refusals.slice(0, 4).map(({ code, err }) => [code, err]), [
    [2, why("vft", "overwrite", "run.json")],
    [2, why("vft", "resume", "run.json")],
    [2, why("align", "overwrite", "align.json")],
    [2, why("align", "resume", "align.json")],
  ]);
  assert.deepEqual(refusals[4].code, 2);
  assert.match(refusals[4].err, /^vft: Cannot resume \S+: no such run directory\n$/);
  assert.ok(!existsSync(at("nothing")));
  assert.deepEqual(readdirSync(precious), ["thesis.txt"]);

  // A run that holds what the next one reads.
  const run1 = at("holder");
  mkdirSync(run1);
  writeFileSync(join(run1, "run.json"), "{}");
  cpSync(join(root, base), join(run1, "start"), { recursive: true });
  const eaten = await run("vft", [
    ...["--model", join(run1, "start"), ...wasm, "--data", "arithmetic", "--out", run1, "--overwrite"],
  ]);
  assert.deepEqual(eaten, {
    code: 2,
    out: "",
    err: `vft: Cannot overwrite ${run1}: the run reads ${join(run1, "start")} in it\n`,
  });
  assert.ok(existsSync(join(run1, "start", "config.json")));
});

test("make-base makes a model that loads, and refuses an --out that exists before it trains", async () => {
  const out = at("tiny"),
    size = ["--documents", "64", "--layers", "1", "--hidden-size", "64", "--backend", "wasm"];
  const { code, out: metrics, err } = await run("make-base", ["--out", out, ...size, "--quiet"]);
  assert.deepEqual([code, err], [0, ""]);
  assert.ok(records(metrics)[0].loss > 5); // about ln 525
  const again = await run("make-base", ["--out", out, ...size]);
  assert.equal(
    again.err,
    `make-base: Cannot write ${out}: it already exists; use --overwrite or another --out\n`,
  );
  assert.equal(again.code, 2);
  assert.ok(!existsSync(`${out}.untrained`));
  const loaded = await run("evaluate", [
    "--model",
    out,
    ...wasm,
    "--data",
    "arithmetic:test",
    "--limit",
    "1",
  ]);
  assert.equal(loaded.code, 0, loaded.err);
});

test("SIGINT ends a training with 130; --resume brings it to the parameters of an undisturbed one", async () => {
  const groups = lines(
    Array.from({ length: 9 }, (_, i) => ({
      id: `q${i}`,
      question: `Tom has ${i} balls and buys 5. How many has he?`,
      reference: `${i} + 5 = ${i + 5}\n#### ${i + 5}`,
      candidates: [{ text: "He has 5.\n#### 5", correct: i === 0 }, { text: `#### ${i + 5}`, correct: true }],
    })),
  );
  const args = (out: string) => [
    ...["--model", base, ...wasm, "--steps", "24", "--batch-size", "4", "--log-every", "1"],
    ...["--save-every", "4", "--learning-rate", "1e-3", "--out", at(out)],
  ];
  let sent = false;
  const [whole, cut] = await Promise.all([
    run("ca-align", args("trained-whole"), { input: groups }),
    run("ca-align", args("trained-cut"), {
      input: groups,
      onOutput(child, text) {
        if (sent || text.split("\n").length < 7) return; // six lines: past the checkpoint of step 4
        sent = true;
        process.kill(child.pid!, "SIGINT");
      },
    }),
  ]);
  assert.equal(whole.code, 0, whole.err);
  const done = records(cut.out).length;
  assert.deepEqual([cut.code, cut.err], [
    130,
    "ca-align: 1 of 9 groups have no better and worse candidate: they add no alignment loss\n" +
    `ca-align: Kept step ${done} of 24 in ${at("trained-cut")}: --resume goes on from there\n` +
    "ca-align: Interrupted\n",
  ]);
  assert.ok(done >= 6 && done < 24, `${done} steps`);
  assert.ok(!existsSync(join(at("trained-cut"), "config.json")));

  const other = await run("ca-align", [...args("trained-cut"), "--resume", "--seed", "5"], { input: groups });
  assert.deepEqual([other.code, other.out], [2, ""]);
  assert.match(other.err, /^ca-align: Cannot resume \S+: it was started with seed 0, not 5$/m);
  const fewer = await run("ca-align", [...args("trained-cut"), "--resume"], {
    input: groups.split("\n").slice(1).join("\n"),
  });
  assert.equal(fewer.code, 2);
  assert.match(
    fewer.err,
    /^ca-align: Cannot resume \S+: it was trained on 9 other records; the input has 8$/m,
  );

  const resumed = await run("ca-align", [...args("trained-cut"), "--resume"], { input: groups });
  assert.equal(resumed.code, 0, resumed.err);
  assert.ok(records(resumed.out).length < 24);
  assert.deepEqual(weights(at("trained-cut")), weights(at("trained-whole")));
  const path = (name: string) =>
    records(readFileSync(join(at(name), "metrics.jsonl"), "utf8")).map(({ step, loss }) => [step, loss]);
  assert.deepEqual(path("trained-cut"), path("trained-whole"));
});
