import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { findAdapter } from "../../lib/backend/webgpu.ts";
import { loadDataset } from "../../lib/data/load_dataset.ts";
import { sharedProblems, testSpecOf } from "../../lib/pipeline/held_out.ts";
import { at, inPairs, records, root, run, write } from "../_commands.ts";

const { adapter } = await findAdapter();
if (!adapter && process.env.AFT_REQUIRE_WEBGPU === "1") {
  throw new Error("AFT_REQUIRE_WEBGPU=1 but no WebGPU adapter was found: the WebGPU tests would be skipped");
}

const small = [
  ...["--limit", "24", "--test-limit", "8", "--epochs", "1", "--votes", "0", "--batch-size", "8"],
  ...["-k", "2", "--max-tokens", "24", "--constraints", "dc", "--start", "vft", "--backend", "wasm"],
];
const results = (out: string) => JSON.parse(readFileSync(join(out, "results.json"), "utf8"));
const bytes = (...path: string[]) => readFileSync(join(...path));

test("align killed with SIGKILL in and between its stages, and resumed, ends like an undisturbed one", async () => {
  const whole = at("whole"), cut = at("cut");
  const undisturbed = run("align", [...small, "--out", whole]);

  // Each is there from a stage on, whatever comes after: the kill is in that stage, or in a later one.
  const found = (pattern: RegExp) => () =>
    existsSync(cut) && readdirSync(cut).some((name) => pattern.test(name));
  const spots: [string, () => boolean][] = [
    ["in the first training", () => existsSync(join(cut, "vft", "run.json"))],
    ["after it", () => existsSync(join(cut, "vft", "config.json"))],
    ["while candidates are sampled", found(/^\.?candidates\.jsonl/)],
    ["in an alignment", () => existsSync(join(cut, "aft-dc", "run.json"))],
    ["while models are measured", () => existsSync(join(cut, "vft", "evaluation.json"))],
  ];
  for (const [i, [spot, reached]] of spots.entries()) {
    const killed = await run("align", [...small, "--out", cut, ...i === 0 ? [] : ["--resume"]], {
      onStart(child) {
        const watch = setInterval(() => {
          if (!reached()) return;
          clearInterval(watch);
          try {
            process.kill(child.pid!, "SIGKILL");
          } catch {
            // It is over already: the assertion below says so.
          }
        }, 5);
        child.on("exit", () => clearInterval(watch));
      },
    });
    assert.notEqual(killed.code, 0, `${spot}: it came to its end: ${killed.err}`);
    assert.ok(!existsSync(join(cut, "results.json")), spot);
  }
  const other = await run("align", [...small, "--out", cut, "--resume", "--seed", "1"]);
  assert.deepEqual(other, {
    code: 2,
    out: "",
    err: `align: Cannot resume ${cut}: it was started with --seed 0, not 1\n`,
  });
  const resumed = await run("align", [...small, "--out", cut, "--resume"]);
  assert.equal(resumed.code, 0, resumed.err);

  const first = await undisturbed;
  assert.equal(first.code, 0, first.err);
  assert.deepEqual(results(cut).rows, results(whole).rows);
  assert.equal(resumed.out, first.out);
  for (const path of ["candidates.jsonl", "test-candidates.jsonl", "aft-dc/model.safetensors"]) {
    assert.deepEqual(bytes(cut, path), bytes(whole, path), path);
  }
  assert.deepEqual(readdirSync(cut).sort(), readdirSync(whole).sort()); // nothing half-written is left

  // stdout is the table, and the numbers in it are those of results.json.
  const { rows, machine, seconds, peak_resident_bytes } = results(whole);
  const names = ["vft", "control", "aft-dc"];
  assert.deepEqual(rows.map(({ name }: { name: string }) => name), names);
  const [head, , ...table] = first.out.trimEnd().split("\n");
  assert.match(head, /^model +accuracy % +(assessment % +)?perplexity/);
  rows.forEach((row: { name: string; perplexity: number; questions: number }, i: number) => {
    assert.ok(table[i].startsWith(row.name) && table[i].includes(row.perplexity.toFixed(3)), table[i]);
    assert.equal(row.questions, 8);
  });
  assert.ok(machine.cores > 0 && seconds > 0 && peak_resident_bytes > 1e7);
  // Trained on from VFT, on the same questions: both know the references better than VFT does.
  assert.ok(rows[1].perplexity < rows[0].perplexity && rows[2].perplexity < rows[0].perplexity);
  const page = readFileSync(join(whole, "report.html"), "utf8");
  for (const name of names) assert.ok(page.includes(name));
  assert.ok(page.trimEnd().endsWith("</html>"));
  assert.equal(records(readFileSync(join(whole, "candidates.jsonl"), "utf8")).length, 24);
  assert.match(first.err, /^candidates: \d+ right and \d+ wrong candidates of 24 questions, \d+ with both$/m);
  assert.match(first.err, /^Done in \d+ s, peak memory \d+ MiB; everything is in \S+\n$/m);

  // Finished: resuming again only prints; the runs' folder is a table's input.
  const printed = await run("align", [...small, "--out", whole, "--resume", "--quiet"]);
  assert.deepEqual(printed, { code: 0, out: first.out, err: "" });
  const joined = await run("table", [whole, cut]);
  assert.deepEqual([joined.code, joined.err], [
    0,
    `table: ${cut} is the same run as ${whole}: it counts once\n`,
  ]);
  assert.match(joined.out, /^\| model +\|[^]*\n\| aft-dc +\|/);
});

test("align with LoRA on 8 bits writes adapters alone, goes on where it stopped, and leaves the base as it is", async () => {
  const out = at("adapters"), lora = [...small, "--lora", "r=4", "--base-dtype", "int8", "--out", out];
  const whole = await run("align", lora);
  assert.equal(whole.code, 0, whole.err);
  const rank = JSON.parse(readFileSync(join(out, "aft-dc", "adapter_config.json"), "utf8")).r;
  assert.equal(rank, 4);
  for (const name of ["vft", "control", "aft-dc"]) {
    assert.ok(existsSync(join(out, name, "adapter_model.safetensors")), name);
    assert.ok(!existsSync(join(out, name, "model.safetensors")), name);
  }
  // Each went on from VFT's adapter, which is another one than what it became.
  assert.notDeepEqual(
    bytes(out, "vft", "adapter_model.safetensors"),
    bytes(out, "aft-dc", "adapter_model.safetensors"),
  );
  const [vft, control] = results(out).rows;
  assert.ok(control.perplexity < vft.perplexity);
  assert.match(readFileSync(join(out, "report.html"), "utf8"), /LoRA, r=4/);

  const adapter = bytes(out, "aft-dc", "adapter_model.safetensors");
  for (const name of ["results.json", "report.html"]) rmSync(join(out, name));
  rmSync(join(out, "aft-dc"), { recursive: true });
  const again = await run("align", [...lora, "--resume"]);
  assert.deepEqual([again.code, again.out], [0, whole.out], again.err);
  assert.deepEqual(bytes(out, "aft-dc", "adapter_model.safetensors"), adapter);

  const vftAdapter = join(out, "vft"),
    twice = [...small, "--lora", "r=4", "--model", vftAdapter, "--out", at("twice")];
  assert.deepEqual(await run("align", twice), {
    code: 2,
    out: "",
    err:
      `align: Cannot make a new adapter on ${vftAdapter}: it is an adapter itself; merge it first, or leave ` +
      "--lora out to train it on\n",
  });
  assert.ok(!existsSync(at("twice")));
  const frozen = await run("align", [...small, "--base-dtype", "int8", "--out", at("frozen")]);
  const why = "they are frozen; train an adapter by --lora";
  assert.deepEqual(frozen, { code: 2, out: "", err: `align: Cannot train weights kept in int8: ${why}\n` });
});

test("what is wrong with the model or the data is found before there is a folder", async () => {
  const out = at("never");
  const [model, data, broken] = await Promise.all([
    run("align", ["--model", at("no-model"), "--out", out]),
    run("align", ["--data", at("no-data.jsonl"), "--out", out]),
    run("align", ["--data", write("bad.jsonl", '{"question": 1}\n'), "--out", out]),
  ]);
  assert.match(model.err, /^align: Cannot open model directory \S+no-model: no such directory[^\n]*\n$/);
  assert.match(data.err, /^align: Cannot read \S+no-data\.jsonl: no such file or directory\n$/);
  assert.match(
    broken.err,
    /^align: Cannot read record 1 of \S+bad\.jsonl: field "question" must be a string: got 1\n$/,
  );
  assert.deepEqual([model.code, data.code, broken.code], [1, 2, 1]);
  assert.ok(!existsSync(out));
});

const shared = join(root, "..", "shared");
for (const backend of ["wasm", "webgpu"]) {
  const skip = !existsSync(shared)
    ? "no ../shared beside the repository"
    : backend === "webgpu" && !adapter
    ? "no WebGPU adapter on this machine"
    : false;
  test(`align with a LLaMA checkpoint and GSM8K's own files [${backend}]`, { skip }, async () => {
    const out = at(`gsm8k-${backend}`), gsm8k = join(shared, "data", "gsm8k");
    const { code, out: table, err } = await run("align", [
      ...["--model", join(shared, "models", "stories260K"), "--backend", backend, "--out", out],
      ...["--data", join(gsm8k, "train.jsonl"), "--test-data", join(gsm8k, "test.jsonl")],
      ...[
        "--limit",
        "4",
        "--test-limit",
        "2",
        "-k",
        "2",
        "--max-tokens",
        "8",
        "--epochs",
        "1",
        "--votes",
        "0",
      ],
      ...["--constraints", "bc"],
    ]);
    assert.equal(code, 0, err);
    assert.match(err, new RegExp(`^Backend: ${backend}`));
    // A model of stories solves nothing, and the table says so.
    assert.equal(table.trimEnd().split("\n").length, 4);
    for (const row of results(out).rows) {
      assert.equal(row.accuracy, 0);
      assert.ok(row.perplexity > 1 && Number.isFinite(row.perplexity));
    }
    assert.ok(existsSync(join(out, "report.html")) && existsSync(join(out, "aft-bc", "model.safetensors")));
    const [group] = records(readFileSync(join(out, "candidates.jsonl"), "utf8"));
    assert.match(group.reference, /#### \d+$/);
    assert.ok(group.candidates.length >= 1);
  });
}

test("the test problems of every part, once, whatever its weight", () => {
  assert.equal(testSpecOf("arithmetic"), "arithmetic");
  assert.equal(testSpecOf("gsm8k*2,aqua:train,ecqa:train*0.5"), "gsm8k,aqua:test,ecqa:test");
  assert.equal(testSpecOf("data/train.jsonl"), "data/train.jsonl");
});

test("test problems that were trained on are counted and told, on the page too", async () => {
  const question = (n: number) => ({
    question: `How many are ${n} and 1?`,
    answer: `${n} + 1 = ${n + 1}\n#### ${n + 1}`,
  });
  const data = write("trained.jsonl", [1, 2, 3, 4].map(question)),
    others = write("others.jsonl", [4, 5].map(question));
  const line = (count: string) =>
    `align: ${count} test problems are training problems too, so accuracy says little; --test-data takes others\n`;
  const tiny = [...small, "--quiet"];
  const [same, one] = await inPairs(
    [[], ["--test-data", others]],
    (args) => run("align", [...tiny, "--data", data, ...args, "--out", at(`leak-${args.length}`)]),
  );
  assert.equal(same.code, 0, same.err);
  assert.ok(same.err.startsWith(line("4 of 4")), same.err);
  assert.ok(one.err.startsWith(line("1 of 2")), one.err);
  // A warning of a stage names it.
  assert.match(same.err, /^align: test-candidates: \d+ of 8 candidates have no answer/m);
  assert.match(
    readFileSync(join(at("leak-0"), "report.html"), "utf8"),
    /4 of 4 test problems are training problems/,
  );
  // The embedded sets keep theirs apart.
  for (const name of ["arithmetic", "options", "ranked"]) {
    const { shared, tested } = await sharedProblems(loadDataset(name), loadDataset(`${name}:test`));
    assert.ok(tested > 100 && shared === 0, `${name}: ${shared} of ${tested}`);
  }
});
